"""What a worker does with one job, whatever state it finds it in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import InterfaceError, OperationalError

from tests.factories import JobFactory
from tests.jobs.kinds import registered, sent
from vmdash.exceptions import Conflict, Unavailable
from vmdash.jobs import context, database, execution, liveness, places, services, transitions
from vmdash.jobs.context import Cancelled, JobContext, OutcomeUnknown
from vmdash.jobs.models import Job, JobPlace
from vmdash.jobs.places import Need
from vmdash.jobs.registry import Outcome

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_stays_claimed() -> Iterator[None]:
    yield
    assert liveness._claims == {}


def job_of(state: str = "queued", **fields: object) -> Job:
    return JobFactory.create(kind="test.kind", state=state, **fields)


def texts(job: Job) -> list[str]:
    return [line.text for line in job.lines.all()]


def test_a_job_runs_and_leaves_its_result() -> None:
    def run(ctx: JobContext) -> dict[str, int]:
        assert ctx.job.state == "running"
        assert liveness.alive([ctx.job.pk])
        ctx.phase("Counting")
        ctx.progress(50)
        return {"count": ctx.parameters["start"] + 1}

    with registered(run):
        job = job_of(parameters={"start": 2})
        execution.execute(job)
    job.refresh_from_db()
    assert (job.state, job.result, job.phase, job.progress_percent) == ("succeeded", {"count": 3}, "", 50)
    assert job.started_at and job.finished_at
    assert texts(job) == ["Counting"]
    assert not liveness.alive([job.pk])


def test_our_errors_are_shown_in_their_own_words() -> None:
    def run(ctx: JobContext) -> None:
        raise Conflict("Cannot start web1 on kvm1: no memory.", hint="Stop another.", detail="code 1")

    with registered(run):
        job = job_of()
        execution.execute(job)
    assert (job.state, job.error, job.error_detail) == (
        "failed", "Cannot start web1 on kvm1: no memory. Stop another.", "code 1",
    )  # fmt: skip


def test_a_bug_fails_the_job_and_keeps_the_traceback_under_details() -> None:
    with registered(lambda ctx: 1 / 0):
        job = job_of()
        execution.execute(job)
    assert job.state == "failed"
    assert job.error == execution.BUG
    assert "ZeroDivisionError" in job.error_detail


def test_a_kind_nobody_knows_any_more_fails() -> None:
    job = job_of()
    execution.execute(job)
    assert job.state == "failed"
    assert "test.kind" in job.error


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "reconciled"])
def test_a_message_that_comes_again_does_nothing(state: str) -> None:
    with registered(lambda ctx: pytest.fail("It ran again.")):
        job = job_of(state)
        execution.execute(job)
    assert Job.objects.get(pk=job.pk).state == state


def test_a_message_that_comes_again_while_the_job_runs_does_nothing() -> None:
    with registered(lambda ctx: pytest.fail("It ran again.")):
        job = job_of("running")
        with liveness.claimed(job.pk, time_limit_s=60):
            execution.execute(job)
        assert Job.objects.get(pk=job.pk).state == "running"


def test_a_cancelled_job_stops_by_itself_and_stays_cancelled() -> None:
    def run(ctx: JobContext) -> None:
        services.cancel(job=Job.objects.get(pk=ctx.job.pk), user=None)
        ctx.wait_until(lambda: False, timeout_s=10)
        pytest.fail("It went on.")

    with registered(run, cancellable=True):
        job = job_of()
        execution.execute(job)
    assert Job.objects.get(pk=job.pk).state == "cancelled"


def test_what_a_cancelled_job_did_is_undone_before_it_counts_as_cancelled() -> None:
    states_while_undoing = []

    def run(ctx: JobContext) -> None:
        services.cancel(job=Job.objects.get(pk=ctx.job.pk), user=None)
        try:
            ctx.check()
        except Cancelled:
            states_while_undoing.append(Job.objects.get(pk=ctx.job.pk).state)
            raise

    with registered(run, cancellable=True):
        job = job_of()
        execution.execute(job)
    assert states_while_undoing == ["running"]
    assert job.state == "cancelled"


@pytest.mark.parametrize(
    ("true", "shown"),
    [(Job.State.FAILED, "cancelled"), (Job.State.CANCELLED, "cancelled"), (Job.State.SUCCEEDED, "succeeded")],
)
def test_a_cancelled_job_whose_worker_died_tells_what_is_true(true: Any, shown: str) -> None:
    with registered(reconcile=lambda ctx: Outcome(true, "It is as it is."), cancellable=True):
        job = job_of("lost")
        services.cancel(job=job, user=None)
        execution.execute(job)
    assert job.state == shown


def test_a_transfer_shows_how_far_it_is() -> None:
    def run(ctx: JobContext) -> None:
        ctx.transferred(0, 1000)
        ctx.transferred(250, 1000, rate_bytes_per_s=50, figures={"round": 2})  # within half a second: not written
        assert Job.objects.get(pk=ctx.job.pk).done_bytes == 0
        ctx.transferred(1000, 1000, rate_bytes_per_s=50, figures={"round": 3})

    with registered(run):
        job = job_of()
        execution.execute(job)
    job.refresh_from_db()
    assert (job.done_bytes, job.total_bytes, job.rate_bytes_per_s, job.seconds_left) == (1000, 1000, 50, 0)
    assert (job.progress_percent, job.figures) == (100, {"round": 3})


def test_a_job_waits_while_all_places_are_taken_and_is_called_when_one_is_free() -> None:
    needs = [Need("migration-out:kvm1", 1, "kvm1 sends a guest already.")]
    with registered(needs=lambda job: needs):
        first, second = job_of("running"), job_of()
        assert places.take(first, needs) == ""
        execution.execute(second)
        assert (second.state, second.waiting_for) == ("queued", "kvm1 sends a guest already.")
        called = sent(second)
        transitions.succeed(first, {})
        transitions.call_waiting()
        assert sent(second) == called + 1
        execution.execute(second)
    assert (second.state, second.waiting_for) == ("succeeded", "")
    assert not JobPlace.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_job_outlives_a_lost_connection_to_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    accidents = [OperationalError("gone"), OperationalError("gone")]

    def call() -> int:
        if accidents:
            raise accidents.pop()
        return 7

    monkeypatch.setattr(database, "PAUSE_S", 0)
    assert database.insist(call) == 7


def test_a_job_that_outlasts_its_limit_is_lost_and_then_checked() -> None:
    def run(ctx: JobContext) -> None:
        ctx.wait_until(lambda: False, timeout_s=10, every_s=0.01)

    def reconcile(ctx: JobContext) -> Outcome:
        return Outcome(Job.State.FAILED, "It never came about.")

    with registered(run, reconcile=reconcile, time_limit_s=0):
        job = job_of()
        execution.execute(job)
        assert job.state == "lost"
        execution.execute(job)
    assert (job.state, job.error) == ("failed", "It never came about.")
    assert texts(job) == ["It took longer than it may", "It never came about."]


def test_a_worker_that_stops_leaves_its_job_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = threading.Event()
    stopping.set()
    monkeypatch.setattr(context, "STOPPING", stopping)
    with registered(lambda ctx: ctx.check()):
        job = job_of()
        execution.execute(job)
    assert job.state == "lost"
    assert not liveness.alive([job.pk])


def test_a_job_whose_host_gave_no_answer_is_lost_and_not_failed() -> None:
    def run(ctx: JobContext) -> None:
        raise OutcomeUnknown("Cannot start web1 on kvm1: the connection to the host was lost.")

    with registered(run):
        job = job_of()
        execution.execute(job)
    assert (job.state, job.error) == ("lost", "")
    assert texts(job) == ["Cannot start web1 on kvm1: the connection to the host was lost."]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Job.State.SUCCEEDED, "web1 is off."),
        Outcome(Job.State.FAILED, "web1 is off."),
        Outcome(Job.State.RECONCILED, "web1 is off."),
    ],
)
@pytest.mark.parametrize("found", ["running", "lost"])
def test_after_the_death_of_a_worker_the_truth_is_written_down(outcome: Outcome, found: str) -> None:
    with registered(lambda ctx: pytest.fail("It ran again."), reconcile=lambda ctx: outcome):
        job = job_of(found)
        execution.execute(job)
    assert job.state == outcome.state
    assert job.error == ("" if outcome.state is Job.State.SUCCEEDED else "web1 is off.")
    assert texts(job) == ["web1 is off."]


def test_while_the_host_is_away_the_job_stays_lost() -> None:
    def reconcile(ctx: JobContext) -> Outcome:
        raise Unavailable("kvm1 does not answer.")

    with registered(reconcile=reconcile):
        job = job_of("running")
        execution.execute(job)
        execution.execute(job)
    assert job.state == "lost"
    assert "kvm1 does not answer." in job.phase
    assert not job.error


@pytest.mark.parametrize("away", [OperationalError("gone"), InterfaceError("gone"), redis.ConnectionError("gone")])
def test_a_job_that_loses_the_database_on_its_way_is_lost_and_its_outcome_found_out(away: Exception) -> None:
    def run(ctx: JobContext) -> None:
        raise away

    with registered(run, reconcile=lambda ctx: Outcome(Job.State.SUCCEEDED, "web1 is off.")):
        job = job_of()
        execution.execute(job)
        assert (job.state, job.error) == ("lost", "")
        execution.execute(job)
    assert job.state == "succeeded"


def test_a_kind_that_changes_nothing_simply_failed() -> None:
    with registered():
        job = job_of("running")
        execution.execute(job)
    assert job.state == "failed"
    assert "Nothing was changed" in job.error
