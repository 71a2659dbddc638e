"""Alerts for pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Case, Exists, IntegerField, OuterRef, QuerySet, Value, When
from django.utils import timezone

from vmdash.access.roles import Permission
from vmdash.alerts.models import Alert, AlertQuerySet, Notification, Receiver, Silence
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

RECENT = timedelta(days=7)
MOST_RECENT = 200
MOST_FIRING = 500
_WORST_FIRST = Case(
    When(severity=Alert.Severity.CRITICAL, then=Value(0)),
    When(severity=Alert.Severity.WARNING, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


def receivers() -> list[tuple[Receiver, Notification | None]]:
    """By name, with what each was told last, or shall be."""
    return [(one, one.notifications.select_related("alert").order_by("-id").first()) for one in Receiver.objects.all()]


@dataclass(frozen=True, slots=True)
class AlertPage:
    loud: Sequence[Alert]
    known: Sequence[Alert]
    """Acknowledged."""
    silenced: Sequence[Alert]
    over: Sequence[Alert]
    silences: Sequence[Silence]
    may_act: Collection[int]
    """Of the firing ones, those that this person may acknowledge or silence."""
    may_end: Collection[int]
    """Of the silences."""


def alert_page(user: User | AnonymousUser) -> AlertPage:
    """Seven queries."""
    visible = _visible(user)
    asked = (
        visible.loud(),
        visible.firing().filter(silence=None, acknowledged_at__isnull=False),
        visible.firing().filter(silence__isnull=False).select_related("silence"),
    )
    loud, known, silenced = (list(_worst_first(alerts)[:MOST_FIRING]) for alerts in asked)
    firing = [*loud, *known, *silenced]
    silences = list(Silence.objects.visible_to(user).filter(ends_at__gt=timezone.now()))
    act, end = Alert.objects.open_to(user, Permission.ALERTS), Silence.objects.open_to(user, Permission.ALERTS)
    return AlertPage(
        loud=loud,
        known=known,
        silenced=silenced,
        over=list(visible.filter(resolved_at__gt=timezone.now() - RECENT).order_by("-resolved_at")[:MOST_RECENT]),
        silences=silences,
        may_act=set(act.filter(pk__in=[alert.pk for alert in firing]).values_list("pk", flat=True)),
        may_end=set(end.filter(pk__in=[silence.pk for silence in silences]).values_list("pk", flat=True)),
    )


def loud(user: User | AnonymousUser) -> QuerySet[Alert]:
    return _worst_first(Alert.objects.visible_to(user).loud())


def of_guest(user: User | AnonymousUser, uuid: UUID) -> list[Alert]:
    return list(_worst_first(_visible(user).firing().filter(domain=uuid)))


def of_host(user: User | AnonymousUser, name: str) -> list[Alert]:
    """About the host itself and its pools, not its guests."""
    return list(_worst_first(_visible(user).firing().filter(host=name, domain=None)))


def of_pool(user: User | AnonymousUser, host: str, name: str) -> list[Alert]:
    """About the pool of that name on that host, whatever else they are about."""
    return list(_worst_first(_visible(user).firing().filter(host=host, pool=name)))


def of_job(user: User | AnonymousUser, pk: UUID) -> list[Alert]:
    return list(_worst_first(_visible(user).firing().filter(job=pk)))


def _visible(user: User | AnonymousUser) -> AlertQuerySet:
    """`opens_job`: the job that it is about is there, and they may see it."""
    job = Job.objects.visible_to(user).filter(pk=OuterRef("job"))
    return Alert.objects.visible_to(user).annotate(opens_job=Exists(job))


def _worst_first(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    return alerts.order_by(_WORST_FIRST, "-started_at")
