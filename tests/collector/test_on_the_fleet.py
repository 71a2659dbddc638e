"""A collector on real libvirtds with real guests, over TCP, TLS and SSH."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from domains.models import Domain
from hosts.ksm.words import shown
from hosts.models import Host
from hosts.portation import import_hosts
from tests.collector.process import CollectorProcess
from tests.collector.waiting import StartCollector, add_row, wait_for_state, wait_until
from tests.polling import poll
from vmdash.lab import xml
from vmdash.lab.commands import run
from vmdash.lab.faults import black_hole, hung_libvirtd, killed_libvirtd
from vmdash.lab.inventory import inventory
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost
from vmdash.live.cache import ticks
from vmdash.live.messages import Tick
from vmdash.live.redis import client, refresh_key, screen_key, watched_key

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]

USUAL = {"FAST_INTERVAL_S": 2, "SLOW_INTERVAL_S": 10, "SWEEP_INTERVAL_S": 3600, "CALL_DEADLINE_S": 8, "LEASE_S": 8}
"""As people have it, without the sweep, so that events alone must do."""

Hosts = dict[str, QemuHost]


@pytest.fixture(scope="module")
def usual_collector(django_db_setup: None, lab: Lab) -> Iterator[CollectorProcess]:
    collector = CollectorProcess(**USUAL)
    yield collector
    collector.stop()


def load(lab: Lab) -> dict[str, Host]:
    """The fleet's hosts, once a collector has seen all of them and their guests."""
    import_hosts(user=None, entries=inventory(lab))
    poll(lambda: Domain.objects.exclude(xml="").count() >= 12, 60, "the fleet to be seen")  # it may still be booting
    return {host.name: host for host in Host.objects.all()}


@pytest.fixture
def fleet_rows(usual_collector: CollectorProcess, lab: Lab) -> dict[str, Host]:
    """The fleet's hosts, under the eyes of a collector."""
    return load(lab)


@pytest.fixture
def defined(lab: Lab, lab_hosts: Hosts) -> Iterator[QemuHost]:
    """kvm1 with a small guest of the test's own, "spare", defined and off."""
    kvm1 = lab_hosts["kvm1"]
    definition = kvm1.directory / "spare.xml"
    definition.write_text(xml.filler(lab, "spare"))
    kvm1.virsh("define", str(definition))
    yield kvm1
    for name in ("spare", "renamed"):
        if name in kvm1.virsh("list", "--all", "--name").split():
            if name in kvm1.virsh("list", "--name").split():
                kvm1.virsh("destroy", name)
            kvm1.virsh("undefine", name)
    definition.unlink()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is waited for in the block must not take longer."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began <= seconds


def test_changes_made_with_virsh_are_seen_within_a_second(fleet_rows: dict[str, Host], defined: QemuHost) -> None:
    wait_for_state("spare", "shut_off", 1)
    steps = (
        (("start", "spare"), "spare", "running"),
        (("suspend", "spare"), "spare", "paused"),
        (("resume", "spare"), "spare", "running"),
        (("destroy", "spare"), "spare", "shut_off"),
        (("domrename", "spare", "renamed"), "renamed", "shut_off"),
    )
    for command, name, state in steps:
        defined.virsh(*command)
        with within(1):
            assert wait_for_state(name, state, 5).state_since_known
    defined.virsh("undefine", "renamed")
    with within(1):
        poll(lambda: not Domain.objects.present().filter(name="renamed").exists(), 5, "the guest to be gone")


def test_a_guest_migrated_by_hand_stays_one_guest(
    fleet_rows: dict[str, Host], lab_hosts: Hosts, booted: Callable[[str, str], QemuHost]
) -> None:
    booted("kvm1", "web2")
    before = Domain.objects.get(name="web2")
    kvm1, kvm2 = lab_hosts["kvm1"], lab_hosts["kvm2"]

    for source, target in ((kvm1, kvm2), (kvm2, kvm1)):
        options = ["--live", "--unsafe", "--persistent", "--undefinesource"]
        run(["virsh", "-c", source.uri, "migrate", *options, "web2", target.uri], timeout_s=120)
        with within(1):
            poll(lambda: Domain.objects.get(name="web2").host == fleet_rows[target.spec.name], 5, "web2 to have moved")  # noqa: B023
        moved = wait_for_state("web2", "running")
        assert (moved.uuid, moved.split_brain) == (before.uuid, False)


def test_figures_of_a_guest_that_burns_cpu(fleet_rows: dict[str, Host], booted: Callable[[str, str], QemuHost]) -> None:
    booted("kvm1", "ci-7")
    burner = Domain.objects.get(name="ci-7")
    host_id = fleet_rows["kvm1"].pk

    def complete() -> Tick | None:
        tick = ticks([host_id]).get(host_id)
        sample = tick["guests"].get(str(burner.uuid)) if tick else None
        # Without a request to its disks there is no time that one takes.
        return tick if sample and all(value is not None for name, value in sample.items() if name != "lat") else None

    tick = poll(complete, 30, "all figures of ci-7")
    assert tick
    sample = tick["guests"][str(burner.uuid)]
    assert (sample["steal"] or 0) + (sample["cpu"] or 0) > 20
    assert (tick["sample"]["mem"] or 0) > 100_000


def test_what_hosts_merge_and_how_disks_are_limited_is_seen(
    fleet_rows: dict[str, Host], lab_hosts: dict[str, QemuHost]
) -> None:
    kernel = Path("/sys/kernel/mm/ksm/pages_to_scan")
    if kernel.exists():
        poll(lambda: Host.objects.get(name="kvm1").ksm is not None, 20, "kvm1 to be read")
        ksm = shown(Host.objects.get(name="kvm1"))
        assert ksm and (ksm.pages_to_scan, ksm.page_kib) == (int(kernel.read_text()), 4)
    kvm1 = lab_hosts["kvm1"]
    kvm1.virsh("blkdeviotune", "web2", "vda", "--read-iops-sec", "700", "--live")
    try:
        client().rpush(refresh_key(fleet_rows["kvm1"].pk), "*")
        poll(lambda: Domain.objects.get(name="web2").disks[0]["limits"] == {"read_iops_sec": 700}, 20, "the limit")
    finally:
        kvm1.virsh("blkdeviotune", "web2", "vda", "--read-iops-sec", "0", "--live")


def test_addresses_come_from_the_guest_agent(
    fleet_rows: dict[str, Host], booted: Callable[[str, str], QemuHost]
) -> None:
    booted("kvm1", "web1")

    poll(lambda: Domain.objects.get(name="web1").addresses, 20, "the addresses of web1")

    guest = Domain.objects.get(name="web1")
    assert guest.agent == "connected"
    assert len(guest.addresses) == 1


def test_a_picture_is_taken_while_somebody_looks(fleet_rows: dict[str, Host]) -> None:
    guest = Domain.objects.get(name="web1")
    assert not client().exists(screen_key(guest.uuid))

    client().set(watched_key(guest.uuid), 1, ex=30)

    poll(lambda: client().exists(screen_key(guest.uuid)), 10, "a picture")
    assert client().hgetall(screen_key(guest.uuid))[b"png"][:4] == b"\x89PNG"


def test_faulty_hosts_say_so_disturb_no_other_and_come_back(fleet_rows: dict[str, Host], lab_hosts: Hosts) -> None:
    kvm1, kvm2, kvm3 = (fleet_rows[name] for name in ("kvm1", "kvm2", "kvm3"))
    with black_hole(lab_hosts["kvm1"].address) as port:
        dropping = add_row(name="dropping", driver="qemu", address=lab_hosts["kvm1"].address, port=port, path="/system")
        with hung_libvirtd(lab_hosts["kvm1"]), killed_libvirtd(lab_hosts["kvm2"]):
            for host in (kvm1, kvm2, dropping):
                wait_until(host, Host.State.UNREACHABLE)
                assert host.state_reason
            lab_hosts["kvm3"].virsh("suspend", "queue1")
            with within(1):
                wait_for_state("queue1", "paused")
            lab_hosts["kvm3"].virsh("resume", "queue1")
            wait_for_state("queue1", "running")
            assert Domain.objects.present().count() == 12
            kvm3.refresh_from_db()
            assert kvm3.state == Host.State.UP
        wait_until(kvm1, Host.State.UP)
        wait_until(kvm2, Host.State.UP)
        assert not Domain.objects.filter(split_brain=True).exists()


def test_after_a_collector_was_killed_another_shows_everything_right(
    start_collector: StartCollector, lab: Lab, lab_hosts: Hosts
) -> None:
    first = start_collector(**USUAL)
    load(lab)
    start_collector(**USUAL)

    first.kill()
    lab_hosts["kvm1"].virsh("suspend", "db1")
    lab_hosts["kvm2"].virsh("resume", "git")
    try:
        with within(15):
            wait_for_state("db1", "paused", 20)
            wait_for_state("git", "running", 20)
        shown = dict(Domain.objects.present().values_list("name", "state"))
        assert shown == dict(really(lab_hosts))
        assert set(Host.objects.values_list("state", flat=True)) == {"up"}
    finally:
        lab_hosts["kvm1"].virsh("resume", "db1")
        lab_hosts["kvm2"].virsh("suspend", "git")


def really(lab_hosts: Hosts) -> Iterator[tuple[str, str]]:
    """Each guest's state as virsh tells it."""
    for host in lab_hosts.values():
        for name in host.virsh("list", "--all", "--name").split():
            yield name, host.virsh("domstate", name).strip().replace(" ", "_")
