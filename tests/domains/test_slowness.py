"""Why a guest is slow, in one plain sentence for each cause, with its figure and what to do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from domains.models import Domain
from domains.slowness import causes
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.queries import queries_of
from tests.ticks import guest_sample, host_sample, write_tick
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.live.messages import HostSample

pytestmark = pytest.mark.django_db

MIB = 2**20
NOBODY_LISTENS = "http://127.0.0.1:9"


def disk(target: str, group: str = "", **limits: int) -> dict[str, Any]:
    """As the collector found it in the definition of the guest that runs."""
    return {"target": target, "device": "disk", "limits": limits, "limit_group": group}


@pytest.fixture
def guest() -> Domain:
    return DomainFactory.create(
        name="web1", vcpus=2, max_vcpus=4, memory_kib=2**20, max_memory_kib=2**20, disks=[disk("vda")]
    )


def found(user: User, guest: Domain, host: HostSample | None = None, **figures: Any) -> list[tuple[str, str]]:
    sample = guest_sample() | figures
    tick = write_tick(guest.host, {guest: sample}, sample=host)  # type: ignore[dict-item]
    return [(cause.headline, cause.advice) for cause in causes(user, guest, sample, tick)]  # type: ignore[arg-type]


def test_a_guest_in_good_order_has_no_cause(viewer: User, guest: Domain) -> None:
    assert found(viewer, guest) == []


@pytest.mark.parametrize(
    ("figures", "headline", "advice"),
    [
        ({"steal": 31.0}, "Slow because it loses 31 % of its CPU time to its neighbours.", "wait for a physical CPU"),
        ({"cpu": 99.0}, "It uses all of its 2 vCPUs (99 %).", "It may have up to 4"),
        ({"swap": 3 * MIB}, "It swaps 3 MiB a second: its memory is too small for what it does.", "all it may have"),
        ({"mem": 2**20 - 1000}, "It uses 100 % of its memory.", "all it may have"),
        ({"lat": 80.0, "ops": 20.0}, "A request to its disks takes 80 ms.", "20 a second"),
        ({"drop": 12.0}, "Its network cards lose 12 packets a second.", "queue"),
    ],
)
def test_each_cause_has_a_sentence(
    viewer: User, guest: Domain, figures: dict[str, Any], headline: str, advice: str
) -> None:
    ((said, more),) = found(viewer, guest, **figures)
    assert said == headline
    assert advice in more


def test_a_limit_that_is_reached_is_the_reason_and_not_the_disk(
    viewer: User, guest: Domain, settings: Settings
) -> None:
    """Of one disk the tick tells it, so it is known without the history store. The limit is the one that holds now:
    that of the next start is another."""
    settings.TSDB_URL = NOBODY_LISTENS
    guest.disks = [disk("vda", total_bytes_sec=MIB)]
    guest.xml = """<domain type='kvm'><name>a</name><devices><disk type='file' device='disk'><target dev='vda'/>
        <iotune><total_bytes_sec>5</total_bytes_sec></iotune></disk></devices></domain>"""
    ((said, _),) = found(viewer, guest, rd=500_000, wr=500_000, lat=200.0, ops=30.0)
    assert said == "vda is held at its limit of 1 MiB/s."
    assert found(viewer, guest, rd=1000, wr=1000) == []


def record(store: str, guest: Domain, host: str, rates: Mapping[tuple[str, str], float]) -> None:
    """What disks of the guest did in the last minute, on this host: a second, by disk and counter."""
    now = int(time.time())
    lines = [
        f'libvirt_domain_block_stats_{counter}_total{{host="{host}",domain="web1",uuid="{guest.pk}",'
        f'target_device="{target}"}} {rate * (at - now + 60):.0f} {at * 1000}'
        for (target, counter), rate in rates.items()
        for at in range(now - 50, now + 1, 10)
    ]
    httpx.post(f"{store}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    httpx.get(f"{store}/internal/force_flush").raise_for_status()


def test_of_several_disks_the_one_at_its_limit_is_named(viewer: User, guest: Domain, victoria_metrics: str) -> None:
    """Both may do as much; where it was before, vda did."""
    guest.disks = [disk("vda", write_bytes_sec=MIB), disk("vdb", write_bytes_sec=MIB), disk("vdc")]
    record(victoria_metrics, guest, guest.host.name, {("vda", "write_bytes"): 1000, ("vdb", "write_bytes"): MIB})
    record(victoria_metrics, guest, "elsewhere", {("vda", "write_bytes"): MIB})
    assert [said for said, _ in found(viewer, guest, wr=MIB)] == ["vdb is held at its limit of 1 MiB/s written."]


def test_limits_of_both_ways_together_count_both(viewer: User, guest: Domain, victoria_metrics: str) -> None:
    guest.disks = [disk("vda", total_iops_sec=100), disk("vdb", total_bytes_sec=MIB)]
    record(
        victoria_metrics, guest, guest.host.name,
        {
            ("vda", "read_requests"): 60, ("vda", "write_requests"): 40,
            ("vdb", "read_bytes"): MIB // 4, ("vdb", "write_bytes"): MIB // 4,
        },
    )  # fmt: skip
    said = [said for said, _ in found(viewer, guest, rd=MIB, wr=MIB, ops=100.0)]
    assert said == ["vda is held at its limit of 100 operations/s."]


def test_disks_that_share_a_limit_are_judged_together(viewer: User, guest: Domain, victoria_metrics: str) -> None:
    """Neither does half of what is allowed to both by itself; vdc, which may do as much alone, does not."""
    limits = {"write_bytes_sec": MIB}
    guest.disks = [disk("vda", "fast", **limits), disk("vdb", "fast", **limits), disk("vdc", "alone", **limits)]
    record(
        victoria_metrics, guest, guest.host.name,
        {("vda", "write_bytes"): 0.45 * MIB, ("vdb", "write_bytes"): 0.5 * MIB, ("vdc", "write_bytes"): 0.5 * MIB},
    )  # fmt: skip
    assert [said for said, _ in found(viewer, guest, wr=1.45 * MIB)] == [
        "vda, vdb are held at the limit of 1 MiB/s written that they share (group fast)."
    ]


def test_disks_of_a_group_that_leave_it_room_are_not_held(viewer: User, guest: Domain, victoria_metrics: str) -> None:
    guest.disks = [disk("vda", "fast", total_iops_sec=100), disk("vdb", "fast", total_iops_sec=100), disk("vdc")]
    record(
        victoria_metrics, guest, guest.host.name,
        {("vda", "read_requests"): 30, ("vdb", "write_requests"): 40, ("vdc", "read_requests"): 90},
    )  # fmt: skip
    assert found(viewer, guest, ops=160.0) == []


def test_a_limit_that_all_disks_share_is_told_without_the_history_store(
    viewer: User, guest: Domain, settings: Settings
) -> None:
    """And is the reason for all of them."""
    settings.TSDB_URL = NOBODY_LISTENS
    guest.disks = [disk("vda", "fast", total_bytes_sec=MIB), disk("vdb", "fast", total_bytes_sec=MIB)]
    ((said, _),) = found(viewer, guest, rd=500_000, wr=500_000, lat=200.0, ops=30.0)
    assert said == "vda, vdb are held at the limit of 1 MiB/s that they share (group fast)."


def test_reads_and_writes_are_told_apart(viewer: User, guest: Domain, victoria_metrics: str) -> None:
    """Also of one disk: ticks count both as requests."""
    guest.disks = [disk("vda", read_iops_sec=100, write_iops_sec=100)]
    of_vda = {("vda", "read_requests"): 20, ("vda", "write_requests"): 100}
    record(victoria_metrics, guest, guest.host.name, of_vda)
    assert [said for said, _ in found(viewer, guest, ops=120.0)] == ["vda is held at its limit of 100 writes/s."]


def test_one_disk_at_its_limit_does_not_speak_for_the_others(
    viewer: User, guest: Domain, victoria_metrics: str
) -> None:
    guest.disks = [disk("vda"), disk("vdb", write_bytes_sec=MIB)]
    record(victoria_metrics, guest, guest.host.name, {("vdb", "write_bytes"): MIB})
    assert [said for said, _ in found(viewer, guest, wr=MIB, lat=500.0, ops=20.0)] == [
        "vdb is held at its limit of 1 MiB/s written.",
        "A request to its disks takes 500 ms.",
    ]


def test_what_is_read_from_a_medium_is_not_the_disk_s(viewer: User, guest: Domain, victoria_metrics: str) -> None:
    """While it installs itself; ticks count both together."""
    guest.disks = [disk("vda", read_bytes_sec=MIB), {"target": "sda", "device": "cdrom", "limits": {}}]
    record(victoria_metrics, guest, guest.host.name, {("vda", "read_bytes"): 100, ("sda", "read_bytes"): 2 * MIB})
    assert found(viewer, guest, rd=2 * MIB) == []


def test_without_the_history_store_nothing_is_guessed(viewer: User, guest: Domain, settings: Settings) -> None:
    settings.TSDB_URL = NOBODY_LISTENS
    guest.disks = [disk("vda", write_bytes_sec=MIB), disk("vdb")]
    ((said, _),) = found(viewer, guest, wr=MIB, lat=80.0, ops=20.0)
    assert said == "A request to its disks takes 80 ms."


@pytest.mark.parametrize(
    ("figures", "advice"),
    [({"swap": 3 * MIB}, "It swaps 3 MiB a second."), ({"mem": 2**20 - 1000}, "It uses 100 % of that.")],
)
def test_a_guest_that_lacks_what_its_balloon_took_is_squeezed(
    viewer: User, guest: Domain, figures: dict[str, Any], advice: str
) -> None:
    guest.max_memory_kib = 2**21
    ((said, more),) = found(viewer, guest, **figures)
    assert said == "Its balloon is squeezed: it has 1 GiB of 2 GiB."
    assert more == f"{advice} Give it more, if its host has that: Tune… does it while it runs."
    assert found(viewer, guest, mem=2**19) == []  # what it has is enough


def test_one_slow_request_says_nothing(viewer: User, guest: Domain) -> None:
    assert found(viewer, guest, lat=500.0, ops=0.1) == []


def test_unknown_figures_are_no_causes(viewer: User, guest: Domain) -> None:
    assert found(viewer, guest, cpu=None, steal=None, mem=None, swap=None, ops=None, lat=None, drop=None) == []


def test_who_may_not_see_the_host_is_not_told_of_its_memory(guest: Domain) -> None:
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(guest.pk))
    full = host_sample()
    full["mem"] = full["mem_total"]
    assert found(person, guest, full) == []


def test_a_host_without_memory_is_a_cause(viewer: User, guest: Domain) -> None:
    full = host_sample()
    full["mem"] = full["mem_total"]
    ((said, _),) = found(viewer, guest, full)
    assert said == f"{guest.host.name} has 100 % of its memory in use."


def test_a_job_that_it_feels_is_told(viewer: User, guest: Domain) -> None:
    JobFactory.create(kind="domain.migrate", state="running", target_id=str(guest.pk), label="Move web1 to kvm2")
    JobFactory.create(kind="image.verify", state="running", target_id=str(guest.pk), label="Verify", exclusive=False)
    assert [said for said, _ in found(viewer, guest)] == ["A job is at work on it: Move web1 to kvm2."]


def copies_on(host: Host) -> None:
    """Two moves, of which one comes, and the copy of a volume; and a few jobs that nobody here feels."""
    elsewhere = HostFactory.create(name="kvm9")
    JobFactory.create(
        kind="domain.migrate", state="running", label="Move db1 to kvm9", domain=DomainFactory.create(host=host),
        parameters={"source": host.pk, "target": elsewhere.pk},
    )  # fmt: skip
    JobFactory.create(
        kind="domain.migrate", state="running", label="Move db2 here", domain=DomainFactory.create(host=elsewhere),
        parameters={"source": elsewhere.pk, "target": host.pk},
    )  # fmt: skip
    on_host = {"target_kind": "volume", "target_id": "a", "exclusive": False, "host_name": host.name}
    JobFactory.create(kind="volume.clone", state="running", label="Clone a", **on_host)
    JobFactory.create(kind="volume.clone", state="succeeded", label="Clone b", **on_host)
    JobFactory.create(kind="volume.delete", state="running", label="Delete c", **on_host)
    JobFactory.create(kind="volume.clone", state="running", label="Clone d", **(on_host | {"host_name": "kvm9"}))


@pytest.mark.parametrize("felt", [{"lat": 80.0, "ops": 20.0}, {"drop": 12.0}, {"steal": 31.0}])
def test_copies_of_others_may_be_why(operator: User, guest: Domain, felt: dict[str, Any]) -> None:
    copies_on(guest.host)
    ((_, advice),) = found(operator, guest, **felt)
    assert advice.endswith(
        f" What may cause this: 2 moves and 1 copy of a volume at work on {guest.host.name} now "
        "(Move db1 to kvm9; Move db2 here; Clone a)."
    )


def test_copies_are_told_once_and_only_where_something_is_felt(operator: User, guest: Domain) -> None:
    copies_on(guest.host)
    assert found(operator, guest) == []
    assert found(operator, guest, mem=2**20)[0][1].count("What may") == 0
    advice = [advice for _, advice in found(operator, guest, steal=31.0, lat=80.0, ops=20.0, drop=12.0)]
    assert ["What may cause this" in each for each in advice] == [False, True, False]


def test_jobs_that_one_may_not_see_are_counted_and_not_named(viewer: User, guest: Domain) -> None:
    copies_on(guest.host)
    ((_, advice),) = found(viewer, guest, lat=80.0, ops=20.0)
    assert advice.endswith(f"2 moves and 1 copy of a volume at work on {guest.host.name} now.")


def test_who_may_not_see_the_host_is_not_told_what_goes_on_there(guest: Domain) -> None:
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(guest.pk))
    copies_on(guest.host)
    ((_, advice),) = found(person, guest, lat=80.0, ops=20.0)
    assert "What may cause this" not in advice


def test_a_clone_that_comes_is_told(operator: User, guest: Domain) -> None:
    template = DomainFactory.create(name="template", host=HostFactory.create(name="kvm9"))
    JobFactory.create(
        kind="domain.clone", state="running", label="Clone template to web9", domain=template,
        parameters={"host": guest.host_id},
    )  # fmt: skip
    ((_, advice),) = found(operator, guest, lat=80.0, ops=20.0)
    assert advice.endswith(f"1 clone at work on {guest.host.name} now (Clone template to web9).")


def test_copies_take_one_query(viewer: User, guest: Domain) -> None:
    found(viewer, guest)  # reads what the person may
    before = queries_of(lambda: found(viewer, guest))
    copies_on(guest.host)
    assert queries_of(lambda: found(viewer, guest, lat=80.0, ops=20.0)) == before + 1


def test_the_page_says_that_nothing_is_wrong(viewer_client: Client, guest: Domain) -> None:
    write_tick(guest.host, {guest: guest_sample()})
    well = "Nothing is known to slow it down."
    assert well in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()
    write_tick(guest.host, {guest: guest_sample(steal=40)})
    assert well not in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()
    Domain.objects.filter(pk=guest.pk).update(state="shut_off")
    assert well not in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()
