"""The weekly summary of the capacity page, by mail, to those who asked for it."""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F, Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from domains.capacity.models import CapacityMail, Outlook, Scope
from domains.capacity.sheet import FILLING, Sheet, sheet
from domains.capacity.words import foresight
from vmdash.access.audit import record
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

HOUR = 7
"""Sent on Mondays from this hour on, local time; or as soon as the scheduler is back after that."""
MOST_LISTED = 10


def why_no_mail(user: User) -> str:
    """Why somebody cannot have it, in a sentence; empty when they can."""
    if not settings.SENDS_MAIL:
        return "No mail server is set up (VMDASH_EMAIL_URL)."
    if not user.email:
        return "Your account has no mail address. An administrator can add it: manage.py person NAME --email ADDRESS."
    return ""


def subscribe(*, user: User) -> CapacityMail:
    """From next Monday on. Raises Conflict when nothing could be sent."""
    if reason := why_no_mail(user):
        raise Conflict(f"The weekly summary cannot be sent. {reason}")
    found, is_new = CapacityMail.objects.get_or_create(user=user, defaults={"sent_for": _monday(timezone.now())})
    if is_new:
        record(user=user, action="capacity.mail.subscribe")
    return found


def unsubscribe(*, user: User) -> None:
    if CapacityMail.objects.filter(user=user).delete()[0]:
        record(user=user, action="capacity.mail.unsubscribe")


def _monday(now: datetime) -> date:
    """Of the week whose summary is due by now."""
    local = timezone.localtime(now) - timedelta(hours=HOUR)
    return local.date() - timedelta(days=local.weekday())


def send_due(now: datetime) -> None:
    """To everybody who has not had this week's. Called again and again; each gets one."""
    if not settings.SENDS_MAIL:
        return
    monday = _monday(now)
    due = Q(sent_for=None) | Q(sent_for__lt=monday)
    for asked in CapacityMail.objects.filter(due).select_related("user"):
        if not can(asked.user, Permission.VIEW) or not asked.user.email:
            continue
        # Whoever changes the row sends; when that fails it is changed back, for the next time.
        if not CapacityMail.objects.filter(due, pk=asked.pk).update(sent_for=monday):
            continue
        try:
            _send(asked.user, now)
            CapacityMail.objects.filter(pk=asked.pk).update(trouble="")
        except Exception as error:
            log.exception("The weekly summary for %s was not sent", asked.user)
            CapacityMail.objects.filter(pk=asked.pk).update(
                sent_for=monday - timedelta(days=7), trouble=f"{type(error).__name__}: {error}"[:300]
            )


def _send(user: User, now: datetime) -> None:
    found = sheet(user)
    text = render_to_string("capacity/mail.txt", summary(found, user, now))
    send_mail(_subject(found), text, None, [user.email])


def _subject(found: Sheet) -> str:
    if not found.whole or not found.fleet.machines:
        return "Capacity of your guests this week"
    sinking = len(found.sinking)
    if sinking:
        return f"Capacity: {sinking} host{'' if sinking == 1 else 's'} whose failure would leave guests without a place"
    return "Capacity: the fleet survives the loss of any one host"


def summary(found: Sheet, user: User, now: datetime) -> dict[str, object]:
    """What the mail is made of."""
    forecasts = []
    if found.whole:
        rows = Outlook.objects.visible_to(user).filter(scope=Scope.FLEET, resource__in=FILLING).order_by(F("resource"))
        forecasts = [(row.get_resource_display(), foresight(row)) for row in rows]
    return {
        "sheet": found,
        "forecasts": forecasts,
        "day": timezone.localtime(now).date(),
        "sinking": found.sinking[:MOST_LISTED],
        "more_sinking": max(0, len(found.sinking) - MOST_LISTED),
        "tight": found.tight[:MOST_LISTED],
        "more_tight": max(0, len(found.tight) - MOST_LISTED),
        "url": f"{settings.PUBLIC_URL}{reverse('capacity')}" if settings.PUBLIC_URL else "",
        "user": user,
    }
