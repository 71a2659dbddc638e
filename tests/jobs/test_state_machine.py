"""Who wins when several want to change a job at once, and what a job may become."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from django.db import IntegrityError, connection

from tests.factories import DomainFactory, JobFactory
from vmdash.jobs import transitions
from vmdash.jobs.models import Job

State = Job.State


def at_once(*calls: Callable[[], bool]) -> list[bool]:
    """The answers of calls that begin at the same moment, each in a thread of its own."""
    barrier = Barrier(len(calls))

    def call(wanted: Callable[[], bool]) -> bool:
        try:
            barrier.wait()
            return wanted()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def copy(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_takes_a_job() -> None:
    job = JobFactory.create()
    answers = at_once(*[partial(transitions.take, copy(job)) for _ in range(6)])
    assert sorted(answers) == [False] * 5 + [True]
    job.refresh_from_db()
    assert job.state == State.RUNNING
    assert job.started_at


@pytest.mark.django_db(transaction=True)
def test_a_job_is_either_cancelled_or_taken() -> None:
    for _ in range(5):
        job = JobFactory.create()
        mine, theirs = copy(job), copy(job)
        taken, cancelled = at_once(
            partial(transitions.take, mine),
            partial(transitions.cancel_queued, theirs),
        )
        assert taken != cancelled
        assert copy(job).state == (State.RUNNING if taken else State.CANCELLED)


@pytest.mark.django_db(transaction=True)
def test_a_job_ends_once() -> None:
    job = JobFactory.create(state=State.LOST)
    mine, theirs = copy(job), copy(job)
    answers = at_once(lambda: transitions.succeed(mine, {}), lambda: transitions.fail(theirs, "It failed."))
    assert sorted(answers) == [False, True]
    assert copy(job).error == ("" if answers[0] else "It failed.")


@pytest.mark.django_db
@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.RECONCILED])
def test_what_has_ended_does_not_change(state: Job.State) -> None:
    job = JobFactory.create(state=state)
    assert not transitions.take(job)
    assert not transitions.succeed(job, {})
    assert not transitions.fail(job, "No.")
    assert not transitions.cancel_queued(job)
    assert not transitions.request_cancel(job)
    assert not transitions.cancelled(job)
    assert not transitions.lose(job)
    assert not transitions.reconcile(job, "No.")
    transitions.report(job, phase="Still here")  # it holds the row's own state, so this is written
    assert copy(job).state == state


@pytest.mark.django_db
def test_a_phase_is_not_written_when_the_job_was_taken_away() -> None:
    job = JobFactory.create(state=State.RUNNING)
    transitions.fail(copy(job), "Recovery was quicker.")
    transitions.report(job, phase="Waiting")
    assert copy(job).phase == ""


@pytest.mark.django_db
@pytest.mark.parametrize("state", Job.UNFINISHED)
def test_the_database_refuses_a_second_changing_job_of_a_guest(state: Job.State) -> None:
    domain = DomainFactory.create()
    JobFactory.create(domain=domain, state=state)
    with pytest.raises(IntegrityError):
        JobFactory.create(domain=domain)


@pytest.mark.django_db
def test_other_guests_and_jobs_that_change_nothing_are_not_in_the_way() -> None:
    domain = DomainFactory.create()
    JobFactory.create(domain=domain, state=State.RUNNING)
    JobFactory.create(domain=domain, exclusive=False)
    JobFactory.create(domain=domain, state=State.FAILED)
    JobFactory.create()
    assert Job.objects.count() == 4
