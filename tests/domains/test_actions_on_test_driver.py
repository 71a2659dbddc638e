"""Every action done by a real worker on a real libvirtd, whose guests are those of libvirt's test driver."""

from __future__ import annotations

import pytest

from domains.models import Domain
from domains.services import act
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.process_fixtures import KnownGuest
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.live.redis import client, refresh_key
from vmdash.virt.guest import Guest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture
def live(libvirtd: TestDriverHost, known_guest: KnownGuest) -> tuple[Domain, Guest]:
    domain = known_guest("web1", running=True)
    return domain, libvirtd.connection.guest(str(domain.uuid))


def done(domain: Domain, action: str, user: User) -> Job:
    """The finished job."""
    job = act(domain=domain, action=action, user=user, confirm=domain.name)
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 15, f"{job.label} to end")
    job.refresh_from_db()
    return job


def seen_by_collector(domain: Domain, guest: Guest) -> None:
    facts = guest.facts()
    domain.state, domain.has_managed_save, domain.autostart = (
        facts.status.state.value, facts.has_managed_save, facts.autostart,
    )  # fmt: skip
    domain.save()


def test_a_guest_goes_through_all_its_states(live: tuple[Domain, Guest], operator: User) -> None:
    domain, guest = live
    for action, words in (
        ("suspend", "paused: by user"),
        ("resume", "running: resumed"),
        ("reset", "running: resumed"),
        ("reboot", "running: booted"),
        ("shutdown", "shut off: shut down by guest"),
        ("start", "running: booted"),
        ("force_off", "shut off: forced off"),
        ("start", "running: booted"),
        ("save", "shut off: its state is saved"),
        ("restore", "running: booted"),
        ("save", "shut off: its state is saved"),
        ("discard_save", "shut off: its state is saved"),
    ):
        job = done(domain, action, operator)
        assert (job.state, job.error) == ("succeeded", "")
        assert guest.status().words == words, action
        seen_by_collector(domain, guest)
    assert not guest.has_managed_save()


def test_autostart_is_switched_on_and_off(live: tuple[Domain, Guest], operator: User) -> None:
    domain, guest = live
    assert done(domain, "autostart_on", operator).state == "succeeded"
    assert guest.autostart()
    assert done(domain, "autostart_off", operator).state == "succeeded"
    assert not guest.autostart()


def test_starting_a_running_guest_succeeds(live: tuple[Domain, Guest], operator: User) -> None:
    domain, _ = live
    domain.state = "shut_off"
    domain.save()
    job = done(domain, "start", operator)
    assert job.state == "succeeded"
    assert [line.text for line in job.lines.all()] == ["It runs already."]


def test_the_guest_itself_decides_and_not_what_was_seen_last(live: tuple[Domain, Guest], operator: User) -> None:
    domain, guest = live
    guest.destroy()
    job = done(domain, "suspend", operator)
    assert (job.state, job.error) == ("failed", "Cannot suspend web1: it is off.")


def test_the_collector_is_told_to_read_the_guest_again(live: tuple[Domain, Guest], operator: User) -> None:
    domain, _ = live
    done(domain, "suspend", operator)
    assert client().lrange(refresh_key(domain.host_id), 0, -1) == [str(domain.uuid).encode()]


def test_a_guest_that_is_gone_is_said_to_be_gone(
    live: tuple[Domain, Guest], operator: User, known_guest: KnownGuest
) -> None:
    other = known_guest("other")
    Domain.objects.filter(pk=other.pk).update(uuid="00000000-0000-4000-8000-000000000001")
    domain = Domain.objects.get(pk="00000000-0000-4000-8000-000000000001")
    domain.host = live[0].host
    domain.save()
    job = done(domain, "start", operator)
    assert job.state == "failed"
    assert "the host has no such guest any more" in job.error
    assert job.error_detail


def test_a_host_that_is_away_fails_the_job_at_once(live: tuple[Domain, Guest], operator: User, worker: Worker) -> None:
    domain, _ = live
    domain.host.port = 1
    domain.host.save()
    job = done(domain, "suspend", operator)
    assert job.state == "failed"
    assert job.error.startswith("Cannot connect to testhost")


def test_an_interrupted_job_tells_the_truth(live: tuple[Domain, Guest], operator: User, worker: Worker) -> None:
    domain, _ = live
    for action, state, words in (
        ("start", "succeeded", "It was interrupted, but it came about: web1 is running."),
        ("suspend", "failed", "It was interrupted before it came about: web1 is running. Ask for it anew."),
        ("reset", "reconciled", "It was interrupted: web1 is running, but that may have been so before."),
    ):
        job = interrupted(domain, action, operator)
        poll(lambda job=job: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 15, "the truth")  # type: ignore[misc]
        job.refresh_from_db()
        assert (job.state, job.lines.last().text) == (state, words)  # type: ignore[union-attr]


def interrupted(domain: Domain, action: str, user: User) -> Job:
    """A job as a worker that was killed leaves it, and a message that says so."""
    from tests.factories import JobFactory
    from vmdash.jobs.enqueue import enqueue

    job = JobFactory.create(domain=domain, kind=f"domain.{action}", state="running", requested_by=user)
    enqueue(job)
    return job
