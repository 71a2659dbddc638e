"""Making and cancelling jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError
from pytest_django import DjangoCaptureOnCommitCallbacks

from tests.factories import JobFactory
from tests.jobs.kinds import registered, sent
from vmdash.access.models import AuditEntry, User
from vmdash.celery import app
from vmdash.exceptions import Conflict, NotPermitted
from vmdash.jobs import registry, services, transitions
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Queue
from vmdash.jobs.services import JobInTheWay, Target

WEB1 = Target(kind="domain", id="8f14e45f-ceea-467f-a0e6-1f2b3c4d5e6f", name="web1", host_name="kvm1")


def create(kind: Any, user: User | None) -> Job:
    return services.create(
        kind=kind, user=user, target=WEB1, label="Test web1", parameters={"size": 3}, virsh="virsh x"
    )


def test_a_job_is_queued_once_it_is_committed(
    operator: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with registered(queue=Queue.ACTIONS) as kind:
        with django_capture_on_commit_callbacks(execute=True):
            job = create(kind, operator)
            assert sent(job) == 0
        assert sent(job) == 1
    assert (job.state, job.target_name, job.host_name, job.parameters) == ("queued", "web1", "kvm1", {"size": 3})
    assert (job.requested_by, job.requested_by_name) == (operator, "operator")


def test_every_job_is_in_the_audit_trail(operator: User) -> None:
    with registered() as kind:
        create(kind, operator)
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action, entry.target_id, entry.target_name) == (operator, "test.kind", WEB1.id, "web1")


def test_what_vmdash_does_by_itself_needs_no_person(db: None) -> None:
    with registered() as kind:
        assert create(kind, None).requested_by_name == ""


def test_the_job_in_the_way_is_named(operator: User, administrator: User) -> None:
    with registered(exclusive=True) as kind:
        first = create(kind, operator)
        with pytest.raises(JobInTheWay, match="web1 is busy: “Test web1” is waiting, asked for by operator") as caught:
            create(kind, administrator)
    assert caught.value.job == first
    assert Job.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def test_without_redis_a_job_waits_in_the_database(
    operator: User,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def refuse(error: Exception) -> Callable[..., None]:
        def call(*_: object, **__: object) -> None:
            raise error

        return call

    monkeypatch.setattr(app, "send_task", refuse(OperationalError("no Redis")))
    monkeypatch.setattr(transitions, "publish_now", refuse(redis.ConnectionError("no Redis")))
    with registered() as kind, django_capture_on_commit_callbacks(execute=True):
        job = create(kind, operator)
    assert Job.objects.get(pk=job.pk).state == "queued"


def test_people_cancel_their_own_jobs_and_operators_everybodys(
    nobody: User, viewer: User, help_desk: User, operator: User
) -> None:
    for user, allowed in ((nobody, False), (viewer, False), (help_desk, True), (operator, True)):
        job = JobFactory.create(requested_by=help_desk)
        if allowed:
            services.cancel(job=job, user=user)
        else:
            with pytest.raises(NotPermitted):
                services.cancel(job=job, user=user)
        assert Job.objects.get(pk=job.pk).state == ("cancelled" if allowed else "queued")
    assert [entry.action for entry in AuditEntry.objects.all()] == ["job.cancel", "job.cancel"]


@pytest.mark.parametrize("state", ["running", "lost", "succeeded", "cancelled"])
def test_what_has_begun_is_not_cancelled(operator: User, state: str) -> None:
    job = JobFactory.create(state=state)
    with pytest.raises(Conflict, match="cannot be cancelled"):
        services.cancel(job=job, user=operator)
    assert not services.is_cancellable(job)


@pytest.mark.parametrize("state", ["running", "lost"])
def test_what_runs_is_cancelling_until_its_worker_has_undone_it(operator: User, state: str) -> None:
    with registered(cancellable=True):
        job = JobFactory.create(kind="test.kind", state=state)
        services.cancel(job=job, user=operator)
        assert (job.state, job.state_words) == (state, "cancelling")
        with pytest.raises(Conflict, match="it is cancelling"):
            services.cancel(job=job, user=operator)
    assert [line.text for line in job.lines.all()] == ["Cancelled by operator"]


@pytest.mark.parametrize("state", ["running", "lost"])
def test_what_only_waits_is_cancelled_at_once(operator: User, state: str) -> None:
    with registered(cancellable=True, nothing_to_undo=True):
        job = JobFactory.create(kind="test.kind", state=state)
        services.cancel(job=job, user=operator)
    assert job.state == "cancelled"


def test_what_has_not_begun_is_cancelled_at_once(operator: User) -> None:
    job = JobFactory.create()
    services.cancel(job=job, user=operator)
    assert (job.state, job.is_cancelling) == ("cancelled", False)


def test_what_failed_can_be_asked_for_again_with_the_checks_of_the_first_time(operator: User) -> None:
    def again(job: Job, user: User) -> Job:
        return create(registry.get("test.kind"), user)

    with registered(again=again):
        failed = JobFactory.create(kind="test.kind", state="failed")
        job = services.retry(job=failed, user=operator)
        done = JobFactory.create(kind="test.kind", state="succeeded")
        with pytest.raises(Conflict, match="cannot be tried again: it is done"):
            services.retry(job=done, user=operator)
    assert Job.objects.get(pk=job.pk).retry_of == failed


def test_a_kind_that_cannot_be_repeated_offers_no_retry(operator: User) -> None:
    with registered():
        assert not services.may_retry(JobFactory.create(kind="test.kind", state="failed"), operator)


def test_other_peoples_jobs_are_not_repeated_by_viewers(viewer: User, operator: User) -> None:
    with registered(again=lambda job, user: pytest.fail("It was asked for.")):
        job = JobFactory.create(kind="test.kind", state="failed", requested_by=operator)
        with pytest.raises(Conflict):
            services.retry(job=job, user=viewer)
