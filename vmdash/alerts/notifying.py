"""Telling people that an alert began or ended: by mail here, by webhook as everything else that happens.

What is to be told is written down with the alert; `send_due`, which the scheduler calls, sends it, and tries again what
could not be sent.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Exists, OuterRef
from django.utils import timezone

from vmdash.alerts.models import Alert, Notification, Receiver
from vmdash.jobs.models import Job
from vmdash.severity import Severity
from vmdash.webhooks import events as webhooks
from vmdash.webhooks.models import Event as WebhookEvent
from vmdash.webhooks.models import Kind

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 8
FIRST_PAUSE = timedelta(seconds=30)
"""Doubled after each attempt: the last is an hour after the first."""
AT_ONCE = 200

Event = Notification.Event


def began(alert: Alert) -> None:
    """Have it told, unless it is silenced. In the transaction that stores the alert, or ends its silence."""
    if alert.silence is None:
        _tell(alert, Event.FIRING, Receiver.objects.filter(enabled=True))
        _tell_webhooks(alert, Kind.ALERT_FIRING)


def ended(alert: Alert) -> None:
    """Have its end told to those who were told, or are going to be told, that it began."""
    told = Notification.objects.filter(alert=alert, receiver=OuterRef("pk"), event=Event.FIRING)
    _tell(alert, Event.RESOLVED, Receiver.objects.filter(Exists(told), enabled=True))
    alert.refresh_from_db(fields=["resolved_at"])
    _tell_webhooks(alert, Kind.ALERT_RESOLVED)


def _tell_webhooks(alert: Alert, kind: Kind) -> None:
    webhooks.tell(lambda: [_for_webhooks(alert, kind)], [kind])


def _for_webhooks(alert: Alert, kind: Kind) -> WebhookEvent:
    return WebhookEvent(
        kind=kind,
        at=timezone.now(),
        host=alert.host,
        guest=alert.domain,
        person=_who_asked(alert.job) if alert.job else None,
        severity=alert.severity,
        alert=alert.pk,
        data={
            "rule": alert.rule,
            "severity": alert.severity,
            "summary": alert.summary,
            "description": alert.description,
            "labels": alert.labels,
            "started_at": alert.started_at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        },
    )


def _who_asked(job: UUID) -> int | None:
    return Job.objects.filter(pk=job).values_list("requested_by", flat=True).first()


def _tell(alert: Alert, event: Notification.Event, receivers: object) -> None:
    Notification.objects.bulk_create(
        [
            Notification(alert=alert, receiver=receiver, event=event, due_at=timezone.now())
            for receiver in receivers  # type: ignore[attr-defined]
            if Severity(alert.severity).is_at_least(receiver.least)
        ],
        ignore_conflicts=True,
    )


def send_due() -> int:
    """Send what is due. Returns how many were sent."""
    due = Notification.objects.filter(sent_at=None, given_up_at=None, due_at__lte=timezone.now())
    sent = 0
    for one in due.select_related("alert", "receiver")[:AT_ONCE]:
        # Taken first: should two do this at once, only one sends it.
        attempt = one.attempts + 1
        taken = Notification.objects.filter(pk=one.pk, attempts=one.attempts, sent_at=None)
        if not taken.update(attempts=attempt, due_at=timezone.now() + FIRST_PAUSE * 2 ** (attempt - 1)):
            continue
        sent += _send(one, attempt)
    return sent


def _send(one: Notification, attempt: int) -> bool:
    row = Notification.objects.filter(pk=one.pk)
    try:
        _mail(one)
    except (smtplib.SMTPException, OSError) as error:
        words = f"{type(error).__name__}: {error}"[:300]
        row.update(error=words)
        if attempt >= MOST_ATTEMPTS:
            log.error("%s is not told of “%s”: %s", one.receiver.name, one.alert, words)
            row.update(given_up_at=timezone.now())
        return False
    row.update(sent_at=timezone.now(), error="")
    return True


def _mail(one: Notification) -> None:
    alert = one.alert
    state = "Over" if one.event == Event.RESOLVED else alert.get_severity_display().capitalize()
    link = f"\n\n{settings.PUBLIC_URL}/alerts/" if settings.PUBLIC_URL else ""
    since = f"Since {alert.started_at:%Y-%m-%d %H:%M} UTC"
    labels = "\n".join(f"  {name}: {value}" for name, value in sorted(alert.labels.items()))
    EmailMessage(
        # A header is one line, whatever a label holds.
        subject=" ".join(f"[vmdash] {state}: {alert.summary}".split()),
        body=f"{alert.summary}.\n\n{alert.description}\n\n{since}\n{labels}{link}\n",
        to=[one.receiver.address],
    ).send()
