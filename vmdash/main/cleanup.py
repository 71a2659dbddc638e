"""What is kept for a while, and what goes then. The audit trail stays, unless a setting says for how long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module

from allauth.usersessions.models import UserSession
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from domains.consoles.opening import CONSOLE_OPEN
from domains.models import Domain, GuestEvent
from domains.snapshots.models import ScheduledSnapshot, Snapshot
from hosts.models import HostEvent
from storage.models import PoolEvent
from vmdash.access.trail import retention
from vmdash.api import once
from vmdash.jobs.models import Job
from vmdash.webhooks.models import Event

log = logging.getLogger(__name__)

GONE_GUESTS_DAYS = 30
"""A guest that nobody defines any more gets its tags and history back when it appears again within this time."""
CONSOLE_JOBS_DAYS = 7
"""Opening a console is a job, too; the audit trail tells of it for longer."""
SCHEDULED_DAYS = 90
"""That a schedule saw to a guest is forgotten after this time, unless the snapshot is still there."""
WEBHOOK_EVENTS_DAYS = 7
"""With what came of telling them: the last delivery is tried long before."""
_AT_ONCE = 500
"""Rows a transaction: nobody waits long for the database."""


def clean_up() -> None:
    """Remove what is too old. Whatever ends it half-way, the next time goes on."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    now = timezone.now()
    AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME).delete()
    guests = _remove(Domain.objects.filter(gone_at__lt=now - timedelta(days=GONE_GUESTS_DAYS)))
    old = Q(finished_at__lt=now - timedelta(days=settings.JOB_RETENTION_DAYS))
    console = Q(kind=CONSOLE_OPEN.name, finished_at__lt=now - timedelta(days=CONSOLE_JOBS_DAYS))
    jobs = _remove(Job.objects.filter(old | console).exclude(state__in=Job.UNFINISHED))
    still_there = Exists(Snapshot.objects.filter(domain=OuterRef("domain"), name=OuterRef("snapshot_name")))
    _remove(ScheduledSnapshot.objects.filter(~still_there, due_at__lt=now - timedelta(days=SCHEDULED_DAYS)))
    too_old = now - timedelta(days=settings.EVENT_RETENTION_DAYS)
    # The last before that time stays, since it tells what was so from then on.
    later = GuestEvent.objects.filter(uuid=OuterRef("uuid"), at__lt=too_old, at__gt=OuterRef("at"))
    _remove(GuestEvent.objects.filter(Q(Exists(later)) | Q(kind=GuestEvent.Kind.GONE), at__lt=too_old))
    of_host = HostEvent.objects.filter(host=OuterRef("host"), at__lt=too_old, at__gt=OuterRef("at"))
    _remove(HostEvent.objects.filter(Exists(of_host), at__lt=too_old))
    of_pool = PoolEvent.objects.filter(
        host=OuterRef("host"), uuid=OuterRef("uuid"), at__lt=too_old, at__gt=OuterRef("at")
    )
    _remove(PoolEvent.objects.filter(Q(Exists(of_pool)) | Q(kind=PoolEvent.Kind.GONE), at__lt=too_old))
    _remove(Event.objects.filter(at__lt=now - timedelta(days=WEBHOOK_EVENTS_DAYS)))
    once.forget_old()
    if settings.AUDIT_RETENTION_DAYS:
        retention.prune(now - timedelta(days=settings.AUDIT_RETENTION_DAYS))
    log.info("Cleaned up: %d guests that were gone, %d old jobs", guests, jobs)


Rows = (
    QuerySet[Domain]
    | QuerySet[Job]
    | QuerySet[ScheduledSnapshot]
    | QuerySet[GuestEvent]
    | QuerySet[HostEvent]
    | QuerySet[PoolEvent]
    | QuerySet[Event]
)


def _remove(rows: Rows) -> int:
    return sum(_batches(rows))


def _batches(rows: Rows) -> Iterator[int]:
    """Removes some after the other, and gives their numbers."""
    while keys := list(rows.order_by().values_list("pk", flat=True)[:_AT_ONCE]):
        rows.model._default_manager.filter(pk__in=keys).delete()  # type: ignore[misc]  # each has keys of its own
        yield len(keys)
