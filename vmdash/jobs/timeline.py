"""Jobs on the time axis of charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from vmdash.jobs.models import Job
from vmdash.jobs.told import as_told
from vmdash.metrics.charts import Event
from vmdash.metrics.panel import MOST_EVENTS
from vmdash.metrics.ranges import Window

if TYPE_CHECKING:
    from vmdash.access.models import User

SAME_THING = timedelta(seconds=60)
"""A change of state so soon after a job is what the job did."""
_TONES = {Job.State.FAILED: "bad", Job.State.LOST: "warn", Job.State.RECONCILED: "warn"}
_UNTOLD = ("console.open",)
"""Looking at a screen changes nothing."""


def job_events(jobs: QuerySet[Job], user: User, window: Window) -> list[Event]:
    """Those of `jobs` that began in this time, the newest, as `user` may be told of them."""
    found = jobs.filter(created_at__gte=window.start, created_at__lte=window.end).exclude(kind__in=_UNTOLD)
    return [_event(job) for job in as_told(found.order_by("-created_at")[:MOST_EVENTS], user)]


def by_themselves(changes: Iterable[Event], jobs: Sequence[Event]) -> list[Event]:
    """The changes that none of these jobs has made."""
    done = [(job.at - SAME_THING / 12, (job.until or timezone.now()) + SAME_THING) for job in jobs]
    return [change for change in changes if not any(begin <= change.at <= end for begin, end in done)]


def _event(job: Job) -> Event:
    outcome = "" if job.state == Job.State.SUCCEEDED else f" ({job.state_words})"
    who = f", {job.requested_by_name}" if job.requested_by_name else ""
    return Event(
        at=job.started_at or job.created_at,
        until=job.finished_at,
        text=f"{job.label}{outcome}{who}",
        tone=_TONES.get(Job.State(job.state), "busy"),
        url=reverse("job", args=[job.pk]),
    )
