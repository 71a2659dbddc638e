"""The fleet as a whole: up, up again, repaired, down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab_fixtures import spare_lab
from vmdash.lab import catalogue, fleet, networks
from vmdash.lab.catalogue import GUESTS, Power
from vmdash.lab.commands import LabError, run
from vmdash.lab.layout import Lab
from vmdash.lab.processes import ProcessRecord
from vmdash.lab.qemu_host import QemuHost

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def small_lab(lab: Lab) -> Iterator[Lab]:
    """Another fleet beside the session's."""
    with spare_lab() as small:
        yield small


@pytest.fixture
def second_lab(small_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """That other fleet, up, with one guest on each host."""
    few = {guest.host: guest for guest in GUESTS if guest.power is Power.RUNNING}
    monkeypatch.setattr(catalogue, "GUESTS", tuple(few.values()))
    fleet.up(small_lab, lambda sentence: None)
    return small_lab


def test_every_host_answers_over_its_own_transport_and_has_its_guests(lab: Lab) -> None:
    hosts = fleet.status(lab)

    assert [host.uri.partition(":")[0] for host in hosts] == ["qemu+tcp", "qemu+tls", "qemu+libssh"]
    assert [problem for host in hosts for problem in host.problems] == []
    assert sum(host.running for host in hosts) >= 9


def test_some_guests_are_off_and_one_is_paused(lab_hosts: dict[str, QemuHost]) -> None:
    assert lab_hosts["kvm2"].virsh("domstate", "git").strip() == "paused"
    assert lab_hosts["kvm2"].virsh("domstate", "backup1").strip() == "shut off"
    assert lab_hosts["kvm3"].virsh("domstate", "legacy-erp").strip() == "shut off"


def test_bringing_up_a_fleet_that_is_up_changes_nothing(lab: Lab, lab_hosts: dict[str, QemuHost]) -> None:
    before = {name: _state_of(host) for name, host in lab_hosts.items()}

    fleet.up(lab, lambda sentence: None)

    assert {name: _state_of(host) for name, host in lab_hosts.items()} == before


def test_bringing_up_repairs_a_dead_guest_and_a_dead_libvirtd(lab: Lab, lab_hosts: dict[str, QemuHost]) -> None:
    kvm1 = lab_hosts["kvm1"]
    survivor = kvm1.virsh("domid", "web1")
    kvm1.virsh("destroy", "web2")
    kvm1.signal_libvirtd("KILL")

    fleet.up(lab, lambda sentence: None)

    assert kvm1.virsh("domstate", "web2").strip() == "running"
    assert kvm1.virsh("domid", "web1") == survivor


def test_status_says_which_host_does_not_answer(second_lab: Lab) -> None:
    fleet.qemu_hosts(second_lab)[0].stop()

    kvm1, kvm2, _ = fleet.status(second_lab)

    assert not kvm1.answers
    assert kvm1.problems[0].startswith("kvm1 does not answer.")
    assert kvm2.answers
    assert not kvm2.problems


def test_down_leaves_no_process_no_mount_no_namespace_and_no_bridge(second_lab: Lab) -> None:
    for host in fleet.qemu_hosts(second_lab):
        host.virsh("net-start", "isolated")
    namespaces = _namespaces(second_lab)
    assert len(namespaces) == 3
    assert len(_processes_in(namespaces)) > 9  # a first process, a libvirtd and a guest on each

    fleet.down(second_lab)
    fleet.down(second_lab)

    assert _processes_in(namespaces) == []
    assert str(second_lab.directory) not in Path("/proc/mounts").read_text()
    assert not list(Path("/sys/class/net").glob(f"{second_lab.bridge}*"))


def test_a_fleet_comes_up_again_with_the_disks_and_keys_it_had(second_lab: Lab) -> None:
    (kvm1, *_) = fleet.qemu_hosts(second_lab)
    disks = set(second_lab.shared_images.iterdir())
    fleet.down(second_lab)

    fleet.up(second_lab, lambda sentence: None)

    assert not any(host.problems for host in fleet.status(second_lab))
    assert fleet.qemu_hosts(second_lab)[0].entry() == kvm1.entry()
    assert set(second_lab.shared_images.iterdir()) == disks


def test_two_fleets_run_side_by_side(lab: Lab, second_lab: Lab) -> None:
    assert not any(host.problems for host in (*fleet.status(lab), *fleet.status(second_lab)))
    assert networks.exists(lab.bridge)
    assert networks.exists(second_lab.bridge)


def test_the_machines_own_libvirt_and_firewall_are_not_touched(second_lab: Lab) -> None:
    (kvm1, *_) = fleet.qemu_hosts(second_lab)
    kvm1.virsh("net-start", "isolated")
    try:
        assert "LIBVIRT" not in run(["iptables-save"])
        assert not (Path("/etc/libvirt/qemu/networks") / "isolated.xml").exists()
    finally:
        kvm1.virsh("net-destroy", "isolated")


def test_a_command_on_a_host_that_is_not_up_says_what_to_do(second_lab: Lab) -> None:
    (kvm1, *_) = fleet.qemu_hosts(second_lab)
    kvm1.stop()

    with pytest.raises(LabError, match=r"kvm1 is not up.*manage.py lab up"):
        kvm1.virsh("list")


def _state_of(host: QemuHost) -> tuple[str, str]:
    return host.virsh("list", "--all"), str(host.daemon_pid("libvirtd"))


def _namespaces(lab: Lab) -> set[str]:
    """The mount namespaces of the fleet's hosts."""
    records = [ProcessRecord.read(host.directory / "init.pid") for host in fleet.qemu_hosts(lab)]
    return {str(Path(f"/proc/{record.pid}/ns/mnt").readlink()) for record in records if record}


def _processes_in(namespaces: set[str]) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "ns/mnt").readlink()) in namespaces:
                found.append(process.name)
        except OSError:
            continue  # it ended meanwhile
    return found
