"""Jobs on the time axis of charts."""

from __future__ import annotations

from django.db.models import QuerySet
from django.urls import reverse

from vmdash.jobs.models import Job
from vmdash.metrics.charts import Event
from vmdash.metrics.panel import MOST_EVENTS
from vmdash.metrics.ranges import Window

_TONES = {Job.State.FAILED: "bad", Job.State.LOST: "warn", Job.State.RECONCILED: "warn"}
_UNTOLD = ("console.open",)
"""Looking at a screen changes nothing."""


def job_events(jobs: QuerySet[Job], window: Window) -> list[Event]:
    """Those of `jobs` that began in this time, the newest."""
    found = jobs.filter(created_at__gte=window.start, created_at__lte=window.end).exclude(kind__in=_UNTOLD)
    return [_event(job) for job in found.order_by("-created_at")[:MOST_EVENTS]]


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
