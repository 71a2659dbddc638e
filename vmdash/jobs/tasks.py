"""What Celery calls. Start workers with `--pool threads`: most of a job's time is waiting, for a host or a guest."""

from __future__ import annotations

from typing import Any

from celery import signals

from vmdash.celery import app
from vmdash.jobs import context, execution, recovery
from vmdash.jobs.models import Job


@app.task(name="vmdash.jobs.tasks.run_job")
def run_job(job_id: str) -> None:
    """The one task: whatever the kind, and however often the message is delivered."""
    job = Job.objects.filter(pk=job_id).first()
    if job is not None:
        execution.execute(job)


@app.task(name="vmdash.jobs.tasks.recover", expires=recovery.INTERVAL_S)
def recover() -> None:
    recovery.recover()


@signals.worker_ready.connect
def _ready(sender: Any, **_: object) -> None:
    # A thread's acknowledgement is sent when Celery's loop wakes up, and only then comes the next message. Without a
    # timer that takes seconds (https://github.com/celery/celery/issues/6941).
    sender.timer.call_repeatedly(0.1, lambda: None)
    recover.apply_async(queue=next(iter(sender.app.amqp.queues.consume_from)))


@signals.worker_shutting_down.connect
def _shutting_down(**_: object) -> None:
    context.STOPPING.set()
