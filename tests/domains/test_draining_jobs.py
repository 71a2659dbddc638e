"""Drains and returns carried out by a real worker on a real libvirtd, with libvirt's test driver: guests of such a host
cannot move, so they are stopped and started again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domains.draining import services
from domains.draining.back import plan_return
from domains.draining.job import DRAIN
from domains.draining.models import Drain, DrainedGuest, Fallback
from domains.draining.plan import Policy, plan_drain
from domains.draining.record import open_drain
from domains.models import Domain
from hosts.models import Host
from tests.factories import JobFactory
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.process_fixtures import KnownGuest
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs import services as jobs
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

Ask = Callable[..., Job]


def host() -> Host:
    return Host.objects.get(name="testhost")


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 30, f"{job.label} to end")
    job.refresh_from_db()
    return job


def drain(user: User, fallback: Fallback) -> Job:
    policy = Policy(fallback)
    mark = plan_drain(host(), policy, user).mark
    return ended(services.drain(host=host(), policy=policy, mark=mark, user=user))


def bring_back(user: User) -> Job:
    opened = open_drain(host(), user)
    assert opened
    mark = plan_return(opened, user)[0].mark
    return ended(services.bring_back(host=host(), mark=mark, user=user))


def look(libvirtd: TestDriverHost, *guests: Domain) -> dict[str, str]:
    """Write down how the guests are, as the collector would; their states by name."""
    for guest in guests:
        facts = libvirtd.connection.guest(str(guest.pk)).facts()
        Domain.objects.filter(pk=guest.pk).update(
            state=facts.status.state.value, has_managed_save=facts.has_managed_save
        )
    return dict(Domain.objects.filter(pk__in=[guest.pk for guest in guests]).values_list("name", "state"))


def outcomes(*, returning: bool = False) -> dict[str, str]:
    return dict(DrainedGuest.objects.filter(returning=returning).values_list("name", "outcome"))


@pytest.mark.parametrize("fallback", [Fallback.SAVE, Fallback.SHUTDOWN])
def test_guests_are_stopped_and_those_that_ran_run_again(
    fallback: Fallback, libvirtd: TestDriverHost, known_guest: KnownGuest, operator: User
) -> None:
    guests = [known_guest(f"web{number}", running=number < 6) for number in range(8)]
    before = look(libvirtd, *guests)
    job = drain(operator, fallback)
    assert (job.state, job.error) == ("succeeded", "")
    assert set(look(libvirtd, *guests).values()) == {"shut_off"}
    assert Domain.objects.filter(has_managed_save=True).count() == (6 if fallback == Fallback.SAVE else 0)
    assert (job.progress_percent, job.children.filter(state="succeeded").count()) == (100, 6)
    assert host().maintenance == "maintenance"

    back = bring_back(operator)
    assert (back.state, back.error) == ("succeeded", "")
    assert look(libvirtd, *guests) == before
    assert (host().maintenance, host().maintenance_since) == ("none", None)
    assert not Drain.objects.open().exists()


def test_what_fails_is_told_and_can_be_drained_once_more(
    libvirtd: TestDriverHost, known_guest: KnownGuest, operator: User
) -> None:
    web1, web2 = known_guest("web1", running=True), known_guest("web2", running=True)
    libvirtd.connection.guest(str(web2.pk)).suspend()  # nobody has seen that yet
    job = drain(operator, Fallback.SHUTDOWN)
    assert job.state == "failed"
    assert job.error.startswith("1 of 2 guests did not leave testhost. web2: Cannot shut down web2: it is paused.")
    assert outcomes() == {"web1": "done", "web2": "failed"}
    assert look(libvirtd, web1, web2) == {"web1": "shut_off", "web2": "paused"}
    assert host().maintenance == "maintenance"

    libvirtd.connection.guest(str(web2.pk)).resume()
    look(libvirtd, web1, web2)
    again = drain(operator, Fallback.SAVE)
    assert (again.state, again.error) == ("succeeded", "")
    assert outcomes() == {"web1": "done", "web2": "done"}
    look(libvirtd, web1, web2)
    assert bring_back(operator).state == "succeeded"
    assert look(libvirtd, web1, web2) == {"web1": "running", "web2": "running"}


def test_a_return_that_fails_leaves_the_maintenance_for_another(
    libvirtd: TestDriverHost, known_guest: KnownGuest, operator: User
) -> None:
    web1, web2 = known_guest("web1", running=True), known_guest("web2", running=True)
    assert drain(operator, Fallback.SHUTDOWN).state == "succeeded"
    look(libvirtd, web1, web2)
    Domain.objects.filter(pk=web2.pk).update(split_brain=True)
    back = bring_back(operator)
    assert back.state == "failed"
    assert "web2: Cannot start web2: it is active on two hosts at once" in back.error
    assert host().maintenance == "maintenance"
    Domain.objects.filter(pk=web2.pk).update(split_brain=False)
    look(libvirtd, web1, web2)
    assert [step.guest.name for step in plan_return(Drain.objects.get(), operator)[0].steps] == ["web2"]
    assert bring_back(operator).state == "succeeded"
    assert look(libvirtd, web1, web2) == {"web1": "running", "web2": "running"}
    assert host().maintenance == "none"


def test_a_guest_that_is_busy_is_waited_for(libvirtd: TestDriverHost, known_guest: KnownGuest, operator: User) -> None:
    web1, web2 = known_guest("web1", running=True), known_guest("web2", running=True)
    busy = JobFactory.create(domain=web2, kind="domain.test_of_drains", label="Something with web2", state="running")
    policy = Policy(Fallback.SAVE)
    plan = plan_drain(host(), policy, operator)
    job = services.drain(host=host(), policy=policy, mark=plan.mark, user=operator)
    poll(lambda: "web2 is busy" in Job.objects.get(pk=job.pk).phase, 20, "the drain to say what it waits for")
    assert outcomes()["web2"] == "planned"
    Job.objects.filter(pk=busy.pk).update(state="succeeded")
    assert ended(job).state == "succeeded"
    assert look(libvirtd, web1, web2) == {"web1": "shut_off", "web2": "shut_off"}


def test_cancelled_while_it_waits_it_keeps_what_it_did_for_the_return(
    libvirtd: TestDriverHost, known_guest: KnownGuest, operator: User
) -> None:
    web1, web2 = known_guest("web1", running=True), known_guest("web2", running=True)
    JobFactory.create(domain=web2, kind="domain.test_of_drains", label="Something with web2", state="running")
    policy = Policy(Fallback.SAVE)
    plan = plan_drain(host(), policy, operator)
    job = services.drain(host=host(), policy=policy, mark=plan.mark, user=operator)
    poll(lambda: outcomes()["web1"] == "done", 20, "web1 to be saved")
    jobs.cancel(job=job, user=operator)
    assert ended(job).state == "cancelled"
    assert outcomes() == {"web1": "done", "web2": "cancelled"}
    assert look(libvirtd, web1, web2) == {"web1": "shut_off", "web2": "running"}
    assert host().maintenance == "maintenance"
    assert bring_back(operator).state == "succeeded"
    assert look(libvirtd, web1, web2) == {"web1": "running", "web2": "running"}


def test_one_that_was_interrupted_goes_on_from_the_record(
    libvirtd: TestDriverHost, known_guest: KnownGuest, operator: User, worker: Worker
) -> None:
    """As a worker leaves it that was killed: one guest saved and not noted, one not saved, one not begun."""
    saved, lost, planned = (known_guest(name, running=True) for name in ("saved", "lost", "planned"))
    libvirtd.connection.guest(str(saved.pk)).managed_save()
    record = Drain.objects.create(host=host(), fallback="save")
    Host.objects.update(maintenance="draining")
    parent = JobFactory.create(
        kind=DRAIN.name, label="Drain testhost", target_kind="host", target_id=str(host().pk), domain=saved,
        state="lost", requested_by=operator, parameters={"drain": record.pk},
    )  # fmt: skip
    for number, guest in enumerate((saved, lost, planned)):
        job = None
        if guest is not planned:
            job = JobFactory.create(
                domain=guest, kind="domain.save", state="lost", parent=parent, requested_by=operator
            )
        record.guests.create(
            uuid=guest.pk, name=guest.name, position=number, from_state="running", how="save", job=job,
            outcome="begun" if job else "planned",
        )  # fmt: skip
    enqueue(parent)
    ended(parent)
    assert outcomes() == {"saved": "done", "lost": "failed", "planned": "done"}
    assert look(libvirtd, saved, lost, planned) == {"saved": "shut_off", "lost": "running", "planned": "shut_off"}
    assert parent.state == "failed"
    assert "lost: It was interrupted before it came about" in parent.error
    assert host().maintenance == "maintenance"
    assert not Job.objects.unfinished().exists()
