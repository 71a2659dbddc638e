"""Why a guest is slow, in one plain sentence for each cause, with its figure and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from domains.models import Domain
from domains.slowness import causes
from tests.factories import DomainFactory, JobFactory, UserFactory
from tests.ticks import guest_sample, host_sample, write_tick
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.live.messages import HostSample

pytestmark = pytest.mark.django_db

MIB = 2**20
LIMITED = """<domain type='kvm'><name>a</name><devices><disk type='file' device='disk'><target dev='vda'/>
<iotune><total_bytes_sec>1048576</total_bytes_sec></iotune></disk></devices></domain>"""


@pytest.fixture
def guest() -> Domain:
    return DomainFactory.create(
        name="web1", vcpus=2, max_vcpus=4, memory_kib=2**20, max_memory_kib=2**21, disks=[{"device": "disk"}]
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
        ({"swap": 3 * MIB}, "It swaps 3 MiB a second: its memory is too small for what it does.", "at most 2 GiB"),
        ({"mem": 2**20 - 1000}, "It uses 100 % of its memory.", "give it more"),
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


def test_a_limit_that_is_reached_is_the_reason_and_not_the_disk(viewer: User, guest: Domain) -> None:
    guest.xml = LIMITED
    ((said, _),) = found(viewer, guest, rd=500_000, wr=500_000, lat=200.0, ops=30.0)
    assert said == "Its disks are held at the limit of vda, 1 MiB a second."
    assert found(viewer, guest, rd=1000, wr=1000) == []


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


def test_the_page_says_that_nothing_is_wrong(viewer_client: Client, guest: Domain) -> None:
    write_tick(guest.host, {guest: guest_sample()})
    well = "Nothing is known to slow it down."
    assert well in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()
    write_tick(guest.host, {guest: guest_sample(steal=40)})
    assert well not in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()
    Domain.objects.filter(pk=guest.pk).update(state="shut_off")
    assert well not in viewer_client.get(reverse("guest", args=[guest.pk])).content.decode()
