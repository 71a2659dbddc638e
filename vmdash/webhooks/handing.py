"""New events become deliveries to the webhooks that they are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from django.db import transaction
from django.utils import timezone

from vmdash.access.models import User
from vmdash.access.reach import Place, Scope
from vmdash.access.roles import Permission, can
from vmdash.severity import Severity
from vmdash.webhooks.models import Delivery, Event, Kind, Webhook
from vmdash.webhooks.services import switch_off

AT_ONCE = 500
"""Events a transaction."""
MOST_WAITING = 5_000
"""A webhook for which more than that wait cannot keep up, and is switched off."""


class _Where:
    """The places of an event, looked up once however many webhooks ask."""

    def __init__(self, event: Event) -> None:
        self._event = event

    @cached_property
    def _places(self) -> list[Place]:
        return list(self._event.about.places())

    def places(self) -> list[Place]:
        return self._places


def hand_on() -> int:
    """Hand new events to the webhooks that want them and whose owners may see them. Returns how many deliveries.

    Two that do this at once take different events, and one that dies half-way has done nothing.
    """
    made = 0
    while True:
        with transaction.atomic():
            some = Event.objects.select_for_update(skip_locked=True).filter(handed=False).order_by("at", "id")
            events = list(some[:AT_ONCE])
            if not events:
                return made
            deliveries = list(_deliveries(events))
            Delivery.objects.bulk_create(deliveries)
            Event.objects.filter(pk__in=[event.pk for event in events]).update(handed=True)
            made += len(deliveries)
            _switch_off_those_that_cannot_keep_up({delivery.webhook for delivery in deliveries})


def _deliveries(events: Sequence[Event]) -> Iterator[Delivery]:
    webhooks = list(Webhook.objects.filter(enabled=True).select_related("owner"))
    now = timezone.now()
    began: set[tuple[int, int]] = set()
    """Webhooks and alerts: what is told in this very round."""
    for event in events:
        where = _Where(event)
        for webhook in webhooks:
            if not _wants(webhook, event, began) or not _reaches(webhook, where):
                continue
            if may_hear(webhook.owner, event, where):
                if event.kind == Kind.ALERT_FIRING and event.alert:
                    began.add((webhook.pk, event.alert))
                yield Delivery(webhook=webhook, event=event, due_at=now)


def may_hear(user: User, event: Event, where: _Where | None = None) -> bool:
    """Whether they may know of it now: of others' jobs only where they may see everybody's."""
    about = where or event.about
    if event.kind == Kind.TEST:
        return can(user, Permission.WEBHOOKS)
    if not can(user, Permission.WEBHOOKS) or not can(user, Permission.VIEW, about):
        return False
    return not event.tells_of_a_job or event.person == user.pk or can(user, Permission.VIEW_ALL_JOBS, about)


def _wants(webhook: Webhook, event: Event, began: set[tuple[int, int]]) -> bool:
    kind = Kind(event.kind)
    if kind.topic not in webhook.topics:
        return False
    if event.severity and not Severity(event.severity).is_at_least(webhook.least):
        return False
    if kind == Kind.ALERT_RESOLVED:  # for those who were told that it began
        told = Delivery.objects.filter(webhook=webhook, event__alert=event.alert, event__kind=Kind.ALERT_FIRING)
        return (webhook.pk, event.alert or 0) in began or told.exists()
    return True


def _reaches(webhook: Webhook, where: _Where) -> bool:
    return webhook.scope == Scope.EVERYTHING or (webhook.scope, webhook.scope_id) in where.places()


def _switch_off_those_that_cannot_keep_up(webhooks: set[Webhook]) -> None:
    for webhook in webhooks:
        if webhook.deliveries.waiting().count() > MOST_WAITING:
            switch_off(webhook=webhook, reason=f"It cannot keep up: more than {MOST_WAITING} events waited for it.")
