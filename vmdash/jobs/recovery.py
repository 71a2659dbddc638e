"""Repairing what accidents left behind: jobs whose worker died, jobs whose message was lost.

Runs every few seconds (scheduler) and when a worker starts. It touches no host: it only calls workers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone

from vmdash.jobs import liveness
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Queue, queue_of
from vmdash.live.redis import client

log = logging.getLogger(__name__)

INTERVAL_S = 10
QUEUED_GRACE_S = 30


def recover() -> None:
    """Call a worker for every job that nobody is at work on and nobody will be."""
    for job in interrupted():
        log.info("Nobody is at work on job %s (%s): calling a worker", job.pk, job.label)
        enqueue(job)
    for job in forgotten():
        log.warning("The message of job %s (%s) was lost: sending another", job.pk, job.label)
        enqueue(job)


def interrupted() -> list[Job]:
    """Jobs that have begun and that no worker is at work on.

    The running ones are looked at twice: after a restart of Redis every key is missing until its worker refreshes it.
    """
    begun = timezone.now() - timedelta(seconds=liveness.EXPIRE_S)
    lost = _without_worker(Job.objects.filter(state=Job.State.LOST))
    suspects = _without_worker(Job.objects.filter(state=Job.State.RUNNING, started_at__lt=begun))
    if suspects:
        time.sleep(liveness.REFRESH_S * 1.5)
    return lost + _without_worker(suspects)


def _without_worker(jobs: Iterable[Job]) -> list[Job]:
    jobs = list(jobs)
    alive = liveness.alive(job.pk for job in jobs)
    return [job for job in jobs if job.pk not in alive]


def forgotten() -> list[Job]:
    """Jobs that have been waiting for a while although their queue is empty: their message is gone.

    While a queue is not empty its workers are merely busy. A second message would do no harm: one worker gets the job.
    """
    empty = [queue for queue in Queue if not client().llen(queue)]
    waiting = Job.objects.filter(
        state=Job.State.QUEUED, created_at__lt=timezone.now() - timedelta(seconds=QUEUED_GRACE_S)
    )
    return [job for job in waiting if queue_of(job.kind) in empty]
