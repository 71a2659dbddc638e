"""Guests of libvirt's test driver are tuned by a real worker, also one that was interrupted."""

from __future__ import annotations

import pytest

from domains.models import Domain
from domains.tuning import services
from domains.tuning.job import TUNE
from tests.factories import JobFactory
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.process_fixtures import KnownGuest
from vmdash.access.models import User
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job
from vmdash.live.redis import client, refresh_key
from vmdash.virt.guest import Guest
from vmdash.virt.xml.tuning import Tuning, Tunings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture
def live(libvirtd: TestDriverHost, known_guest: KnownGuest) -> tuple[Domain, Guest]:
    domain = known_guest("web1", running=True)
    return domain, libvirtd.connection.guest(str(domain.uuid))


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 30, f"{job.label} to end")
    job.refresh_from_db()
    return job


def test_memory_is_changed_now_and_in_the_definition_and_back(live: tuple[Domain, Guest], operator: User) -> None:
    domain, guest = live
    first = guest.facts().memory_kib
    job = ended(services.tune(domain=domain, wanted=Tuning(memory_kib=first // 2), user=operator))
    assert (job.state, job.error) == ("succeeded", "")
    assert [Tuning.parse(guest.xml(inactive=inactive)).memory_kib for inactive in (False, True)] == [first // 2] * 2
    assert client().lrange(refresh_key(domain.host_id), 0, -1) == [str(domain.uuid).encode()]
    assert ended(services.undo(domain=domain, user=operator)).state == "succeeded"
    assert [Tuning.parse(guest.xml(inactive=inactive)).memory_kib for inactive in (False, True)] == [first] * 2


def test_of_a_guest_that_is_off_the_definition_changes(live: tuple[Domain, Guest], operator: User) -> None:
    domain, guest = live
    guest.destroy()
    first = guest.facts().max_memory_kib
    job = ended(services.tune(domain=domain, wanted=Tuning(memory_kib=first // 2), user=operator))
    assert [line.text for line in job.lines.all()] == ["It holds from its next start."]
    assert Tuning.parse(guest.xml(inactive=True)).memory_kib == first // 2


def test_what_its_host_does_not_offer_changes_nothing(live: tuple[Domain, Guest], operator: User) -> None:
    domain, guest = live
    before = guest.xml(), guest.xml(inactive=True)
    memory = guest.facts().memory_kib // 2
    job = ended(services.tune(domain=domain, wanted=Tuning(memory_kib=memory, cpu_shares=512), user=operator))
    assert job.state == "failed"
    assert job.error.startswith("Cannot change the CPU shares of web1 on testhost")
    assert (guest.xml(), guest.xml(inactive=True)) == before


def test_one_that_was_interrupted_is_done_to_its_end(live: tuple[Domain, Guest], operator: User) -> None:
    """The worker died after it had noted what was before."""
    domain, guest = live
    first, wanted = guest.facts().memory_kib, Tuning(memory_kib=guest.facts().memory_kib // 2)
    before = Tuning(memory_kib=first)
    guest.raw.setMemoryFlags(first // 2, 1)
    job = JobFactory.create(
        domain=domain, kind=TUNE.name, state="running", requested_by=operator,
        parameters={"after": Tunings(wanted, wanted).stored(), "before": Tunings(before, before).stored()},
    )  # fmt: skip
    enqueue(job)
    assert ended(job).state == "succeeded"
    assert Tuning.parse(guest.xml(inactive=True)).memory_kib == first // 2
    assert Tunings.of(job.parameters["before"]).now == before
