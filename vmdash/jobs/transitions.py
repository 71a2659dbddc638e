"""Every change of a job's state: a conditional UPDATE whose row count tells who won, then a message to browsers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import redis
from django.db import transaction
from django.utils import timezone

from vmdash.access.audit import record
from vmdash.formats import milliseconds
from vmdash.jobs import places, registry
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job, JobLine
from vmdash.jobs.places import Need
from vmdash.live import groups
from vmdash.live.messages import JobChanged, JobLogged
from vmdash.live.publish import publish_now
from vmdash.uuids import uuid_of
from vmdash.webhooks import events as webhooks
from vmdash.webhooks.models import Event, Kind

log = logging.getLogger(__name__)

State = Job.State


def take(job: Job, needs: Sequence[Need] = ()) -> bool:
    """queued → running, with the places it needs. Whether this worker has it now; otherwise it may stay queued."""
    with transaction.atomic():
        if why_not := places.take(job, needs) if needs else "":
            _wait(job, why_not)
            return False
        if _change(job, [State.QUEUED], State.RUNNING, started_at=timezone.now(), waiting_for=""):
            _record(job, "job.begin", job.label)
            return True
        transaction.set_rollback(True)
        return False


def _wait(job: Job, why: str) -> None:
    """Say why it stays queued."""
    if Job.objects.filter(pk=job.pk, state=State.QUEUED).exclude(waiting_for=why[:200]).update(waiting_for=why[:200]):
        _set(job, {"waiting_for": why[:200]})
        transaction.on_commit(partial(publish, job))


def succeed(job: Job, result: Mapping[str, Any]) -> bool:
    """running or lost → succeeded."""
    return _finish(job, [State.RUNNING, State.LOST], State.SUCCEEDED, result=dict(result))


def fail(job: Job, error: str, detail: str = "") -> bool:
    """Any unfinished state → failed. `error` is for people, `detail` the raw text."""
    return _finish(job, Job.UNFINISHED, State.FAILED, error=error[:500], error_detail=detail)


def cancel_queued(job: Job) -> bool:
    """queued → cancelled."""
    return _finish(job, [State.QUEUED], State.CANCELLED)


def request_cancel(job: Job) -> bool:
    """Ask whoever is at work on it to undo it. Whether that is news."""
    now = timezone.now()
    asked = Job.objects.filter(pk=job.pk, state__in=[State.RUNNING, State.LOST], cancel_requested_at=None)
    if not asked.update(cancel_requested_at=now):
        return False
    job.refresh_from_db()
    announce(job)
    return True


def cancelled(job: Job) -> bool:
    """running or lost → cancelled: what it had done is undone."""
    return _finish(job, [State.RUNNING, State.LOST], State.CANCELLED)


def lose(job: Job) -> bool:
    """running → lost: its worker is gone, or gave it up."""
    return _change(job, [State.RUNNING], State.LOST)


def reconcile(job: Job, words: str) -> bool:
    """lost → reconciled: checked, but what came of the job cannot be told."""
    return _finish(job, [State.LOST], State.RECONCILED, error=words[:500])


def report(job: Job, **fields: Any) -> None:
    """Phase or progress of a job that this worker holds; nothing happens if it does not any more."""
    if Job.objects.filter(pk=job.pk, state=job.state).update(**fields):
        _set(job, fields)
        publish(job)


def _finish(job: Job, before: tuple[Job.State, ...] | list[Job.State], after: Job.State, **fields: Any) -> bool:
    with transaction.atomic():
        ended = _change(job, before, after, finished_at=timezone.now(), phase="", waiting_for="", **fields)
        if ended and places.release(job):
            transaction.on_commit(call_waiting)
        if ended and (job.started_at or after != State.CANCELLED):  # otherwise the trail has it that it was cancelled
            why = f": {job.error}" if job.error else ""
            failed = after in (State.FAILED, State.RECONCILED)
            _record(job, "job.end", f"{job.label}: {job.state_words}{why}", failed=failed)
        if ended:
            webhooks.tell(lambda: [_event(job)], [Kind.JOB_FINISHED])
    return ended


def _event(job: Job) -> Event:
    """That it has ended, for webhooks."""
    return Event(
        kind=Kind.JOB_FINISHED,
        at=job.finished_at or timezone.now(),
        host=job.host_name,
        guest=uuid_of(job.target_id) if job.target_kind == "domain" else None,
        person=job.requested_by_id,
        data={
            "id": str(job.pk),
            "kind": job.kind,
            "label": job.label,
            "target": {"kind": job.target_kind, "id": job.target_id, "name": job.target_name},
            "host": job.host_name,
            "state": job.state,
            "error": job.error,
            "requested_by": job.requested_by_name,
            "created_at": job.created_at.isoformat(),
            "started_at": job.started_at.isoformat() if job.started_at else None,
            "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        },
    )


def _record(job: Job, action: str, detail: str, *, failed: bool = False) -> None:
    """In the audit trail, in the name of who asked for it, and by which token."""
    person = job.requested_by
    if person:
        person.token = job.requested_with
    record(
        user=person,
        action=action,
        target_kind=job.target_kind,
        target_id=job.target_id,
        target_name=job.target_name,
        failed=failed,
        detail=detail,
    )


def call_waiting() -> None:
    """Call workers for the jobs that wait for a place, the oldest first: some may begin now."""
    for waiting in Job.objects.filter(state=State.QUEUED).exclude(waiting_for="").order_by("created_at"):
        enqueue(waiting)


def _change(job: Job, before: tuple[Job.State, ...] | list[Job.State], after: Job.State, **fields: Any) -> bool:
    if not Job.objects.filter(pk=job.pk, state__in=before).update(state=after, **fields):
        return False
    _set(job, {"state": after, **fields})
    announce(job)
    return True


def _set(job: Job, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        setattr(job, name, value)


def announce(job: Job) -> None:
    """Tell browsers, and whoever else shows the job, of a new state (once it is committed)."""
    transaction.on_commit(partial(_tell, job))


def _tell(job: Job) -> None:
    publish(job)
    kind = registry.find(job.kind)
    if kind and kind.on_change:
        kind.on_change(job)


def publish(job: Job) -> None:
    """Send the job to those who may see it. Without Redis pages show it at their next load."""
    _send(job, message(job))


def publish_line(line: JobLine) -> None:
    """Send a line of the job's log to the same people."""
    at = milliseconds(line.at)
    job = line.job
    _send(
        job,
        {
            "type": "job_line",
            "job": str(job.pk),
            "target_kind": job.target_kind,
            "target_id": job.target_id,
            "host": job.host_name,
            "names": sorted(job.named_hosts),
            "requested_by": job.requested_by_name,
            "line": line.pk,
            "at": at,
            "text": line.text,
        },
    )


def _send(job: Job, what: JobChanged | JobLogged) -> None:
    to = [groups.ALL_JOBS]
    if job.requested_by_id:
        to.append(groups.jobs_of(job.requested_by_id))
    try:
        publish_now(to, what)
    except redis.RedisError as error:
        log.warning("Browsers are not told of job %s: %s", job.pk, error)


def message(job: Job) -> JobChanged:
    """The job as browsers get it."""
    return {
        "type": "job",
        "id": str(job.pk),
        "kind": job.kind,
        "label": job.label,
        "target_kind": job.target_kind,
        "target_id": job.target_id,
        "target_name": job.target_name,
        "state": job.state,
        "state_label": job.state_words,
        "host": job.host_name,
        "names": sorted(job.named_hosts),
        "phase": job.phase or job.waiting_for,
        "percent": job.progress_percent,
        "done_bytes": job.done_bytes,
        "total_bytes": job.total_bytes,
        "rate_bytes_per_s": job.rate_bytes_per_s,
        "seconds_left": job.seconds_left,
        "figures": job.figures,
        "cancelling": job.is_cancelling,
        "parent": str(job.parent_id) if job.parent_id else None,
        "error": job.error,
        "requested_by": job.requested_by_name,
        "at": int(timezone.now().timestamp() * 1000),
    }
