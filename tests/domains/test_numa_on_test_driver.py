"""Guests of libvirt's test driver are placed in cells by a real worker, several of them by one job."""

from __future__ import annotations

import pytest

from domains.models import Domain
from domains.numa.balance import services
from domains.numa.balance.job import BALANCE
from domains.numa.job import PLACE
from hosts.models import Host
from tests.factories import JobFactory
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.process_fixtures import KnownGuest
from vmdash.access.models import User
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job
from vmdash.virt.xml.placement import Placement

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

CELLS = [
    {"id": number, "cpus": list(range(8 * number, 8 * number + 8)), "memory_kib": 2**24, "distances": []}
    for number in (0, 1)
]


@pytest.fixture
def guests(libvirtd: TestDriverHost, known_guest: KnownGuest) -> list[Domain]:
    """They are off: the test driver cannot pin a guest that runs."""
    found = [known_guest("web1"), known_guest("web2")]
    Host.objects.filter(name="testhost").update(cells=CELLS, cpus=16)
    return [Domain.objects.select_related("host").get(pk=guest.pk) for guest in found]


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 30, f"{job.label} to end")
    job.refresh_from_db()
    return job


def placement(libvirtd: TestDriverHost, guest: Domain) -> Placement:
    return Placement.parse(libvirtd.connection.guest(str(guest.pk)).xml(inactive=True))


def test_several_are_placed_by_one_job_and_back(libvirtd: TestDriverHost, guests: list[Domain], operator: User) -> None:
    host = guests[0].host
    before = [placement(libvirtd, guest) for guest in guests]
    job = ended(services.balance(host=host, cells={guest.pk: 1 for guest in guests}, user=operator))
    assert (job.state, job.error) == ("succeeded", "")
    assert job.result == {"placed": ["web1", "web2"]}
    assert [part.label for part in job.children.order_by("created_at")] == [
        "Place web1 in cell 1",
        "Place web2 in cell 1",
    ]
    for guest in guests:
        assert placement(libvirtd, guest).cells == (1,)
        assert placement(libvirtd, guest).pins[0] == tuple(range(8, 16))

    undone = ended(services.undo(host=host, user=operator))
    assert (undone.state, undone.label) == ("succeeded", "Undo: Balance the cells of testhost")
    assert [placement(libvirtd, guest) for guest in guests] == before


def test_a_guest_that_is_busy_fails_and_the_others_are_placed(
    libvirtd: TestDriverHost, guests: list[Domain], operator: User
) -> None:
    JobFactory.create(domain=guests[0], kind="domain.nothing", state="running", exclusive=True, label="Back up web1")
    job = ended(services.balance(host=guests[0].host, cells={guest.pk: 1 for guest in guests}, user=operator))
    assert job.state == "failed"
    assert job.error.startswith("1 of 2 guests could not be placed. web1: web1 is busy: “Back up web1” is running")
    assert placement(libvirtd, guests[1]).cells == (1,)


def test_one_that_was_interrupted_goes_on_where_it_stopped(
    libvirtd: TestDriverHost, guests: list[Domain], operator: User
) -> None:
    """The worker died after the first guest."""
    after = Placement({0: (8,)}, (8,), "strict", (1,))
    job = JobFactory.create(
        kind=BALANCE.name, state="running", requested_by=operator, label="Balance the cells of testhost",
        target_kind="host", target_id=str(guests[0].host_id), target_name="testhost", exclusive=True,
        parameters={
            "moves": [{"guest": str(one.pk), "name": one.name, "after": after.stored()} for one in guests]
        },
    )  # fmt: skip
    JobFactory.create(domain=guests[0], kind=PLACE.name, state="succeeded", parent=job)
    enqueue(job)
    assert ended(job).state == "succeeded"
    assert placement(libvirtd, guests[1]) == after
    assert placement(libvirtd, guests[0]) != after, "its placement had ended"
