"""Handing a job's id to the workers. The message is only a nudge: the row is what counts."""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError

from vmdash.celery import app
from vmdash.jobs.models import Job
from vmdash.jobs.registry import queue_of

log = logging.getLogger(__name__)


def enqueue(job: Job) -> None:
    """Ask the workers of the kind's queue to run (or, when it is lost, to check) the job.

    Without Redis nothing is sent; `vmdash.jobs.recovery` sends it when Redis is back.
    """
    try:
        app.send_task("vmdash.jobs.tasks.run_job", args=[str(job.pk)], queue=queue_of(job.kind))
    except OperationalError as error:
        log.warning("Job %s waits until Redis is back: %s", job.pk, error)
