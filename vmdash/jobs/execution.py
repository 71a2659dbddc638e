"""What a worker does with one job: run it, or find out what came of it when its worker died."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django.db import InterfaceError, OperationalError

from vmdash.exceptions import Unavailable, VmdashError
from vmdash.jobs import liveness, registry, transitions
from vmdash.jobs.context import Cancelled, Interrupted, JobContext, TakenAway
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome

log = logging.getLogger(__name__)

BUG = "Something unexpected went wrong inside vmdash. The details are in the log of its worker."


def execute(job: Job) -> None:
    """Carry the job one step further, from whatever state it is in. Any number of callers may try at once."""
    try:
        kind = registry.get(job.kind)
    except VmdashError as error:
        transitions.fail(job, str(error))
        return
    with liveness.claimed(job.pk, time_limit_s=kind.time_limit_s) as ours:
        if ours:
            _step(job, kind)


def _step(job: Job, kind: Kind) -> None:
    if transitions.take(job, kind.needs(job)):
        _run(job, kind)
        return
    job.refresh_from_db()
    if job.state == Job.State.RUNNING and transitions.lose(job):
        log.warning("Job %s (%s) was interrupted", job.pk, job.label)
    if job.state == Job.State.LOST:
        _reconcile(job, kind)


def _run(job: Job, kind: Kind) -> None:
    ctx = JobContext(job, time_limit_s=kind.time_limit_s)
    with _errors_recorded(ctx):
        result = kind.run(ctx) or {}
        insist(lambda: transitions.succeed(job, result))


def _reconcile(job: Job, kind: Kind) -> None:
    """Ask the world what is true. Whoever cannot be asked now is asked again at the next recovery."""
    ctx = JobContext(job, time_limit_s=kind.time_limit_s)
    with _errors_recorded(ctx):
        try:
            outcome = kind.reconcile(ctx)
        except Unavailable as error:
            words = f"Interrupted; what came of it is not known yet. {error.message}"[:120]
            insist(lambda: transitions.report(job, phase=words))
            return
        ctx.log(outcome.words)
        insist(lambda: _conclude(job, outcome))


def _conclude(job: Job, outcome: Outcome) -> None:
    """Write down what is true. What did not come about, and was not wanted any more, is cancelled."""
    match outcome.state:
        case Job.State.SUCCEEDED:
            transitions.succeed(job, {})
        case Job.State.CANCELLED:
            transitions.cancelled(job)
        case Job.State.FAILED if job.cancel_requested_at:
            transitions.cancelled(job)
        case Job.State.FAILED:
            transitions.fail(job, outcome.words)
        case Job.State.RECONCILED:
            transitions.reconcile(job, outcome.words)


@contextmanager
def _errors_recorded(ctx: JobContext) -> Iterator[None]:
    """Whatever goes wrong inside becomes the job's error, or leaves it lost when it shall not go on here."""
    job = ctx.job
    try:
        yield
    except Cancelled:
        insist(lambda: transitions.cancelled(job))
    except TakenAway:
        log.info("Job %s (%s) was taken over", job.pk, job.label)
    except Interrupted as reason:
        ctx.log(str(reason))
        insist(lambda: transitions.lose(job))
    except VmdashError as error:
        failure, detail = str(error), error.detail
        insist(lambda: transitions.fail(job, failure, detail))
    except (OperationalError, InterfaceError, redis.RedisError) as error:
        # That says nothing about what it was doing, which may be half done.
        log.warning("Job %s (%s) lost the database or Redis: %s", job.pk, job.label, str(error).strip())
        insist(lambda: transitions.lose(job))
    except Exception:
        log.exception("Job %s (%s) failed unexpectedly", job.pk, job.label)
        trace = traceback.format_exc(limit=-3)
        insist(lambda: transitions.fail(job, BUG, trace))
