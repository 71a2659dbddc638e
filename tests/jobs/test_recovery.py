"""Which jobs recovery takes up, and which it leaves alone."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import JobFactory
from tests.jobs.kinds import sent
from vmdash.jobs import enqueue, liveness, recovery
from vmdash.jobs.models import Job
from vmdash.live.redis import client

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "REFRESH_S", 0.05)


def job_of(state: str, *, age_s: float) -> Job:
    job = JobFactory.create(state=state, started_at=None if state == "queued" else ago(age_s))
    Job.objects.filter(pk=job.pk).update(created_at=ago(age_s))
    return job


def ago(seconds: float) -> object:
    return timezone.now() - timedelta(seconds=seconds)


@pytest.mark.parametrize("state", ["running", "lost"])
def test_a_job_nobody_is_at_work_on_is_taken_up(state: str) -> None:
    job = job_of(state, age_s=60)
    assert recovery.interrupted() == [job]


@pytest.mark.parametrize("state", ["running", "lost"])
def test_a_job_somebody_is_at_work_on_is_left_alone(state: str) -> None:
    job = job_of(state, age_s=60)
    with liveness.claimed(job.pk, time_limit_s=60):
        assert recovery.interrupted() == []


def test_a_job_that_has_just_begun_is_left_alone() -> None:
    job_of("running", age_s=1)
    assert recovery.interrupted() == []


def test_a_restart_of_redis_takes_no_job_away_from_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of("running", age_s=60)
    monkeypatch.setattr(time, "sleep", lambda seconds: liveness.refresh())
    with liveness.claimed(job.pk, time_limit_s=60):
        client().flushall()
        assert recovery.interrupted() == []


def test_a_job_past_its_time_limit_is_no_longer_kept_alive() -> None:
    job = job_of("running", age_s=60)
    with liveness.claimed(job.pk, time_limit_s=0):
        client().flushall()
        liveness.refresh()
        assert recovery.interrupted() == [job]


def test_a_job_whose_message_is_gone_is_sent_again() -> None:
    job = job_of("queued", age_s=60)
    assert recovery.forgotten() == [job]
    recovery.recover()
    assert sent(job) == 1


def test_a_job_that_waits_its_turn_is_not_sent_again() -> None:
    job = job_of("queued", age_s=60)
    job_of("queued", age_s=1)
    enqueue.enqueue(job)
    assert recovery.forgotten() == []


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "reconciled"])
def test_what_has_ended_stays(state: str) -> None:
    job = job_of(state, age_s=60)
    recovery.recover()
    assert sent(job) == 0
