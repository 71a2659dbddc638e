"""What people do about alerts."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.alerts import notifying
from vmdash.alerts.models import Alert, Notification, Receiver, Silence
from vmdash.exceptions import Conflict, InvalidInput

LONGEST_SILENCE = timedelta(days=90)


def acknowledge(*, alert: Alert, user: User, note: str = "") -> None:
    """Say that somebody knows; it stays until it is over. The caller has checked the permission.

    Raises Conflict: it is over, or somebody was quicker.
    """
    done = Alert.objects.firing().filter(pk=alert.pk, acknowledged_at=None)
    changed = done.update(acknowledged_at=timezone.now(), acknowledged_by=user.username, note=note[:300])
    if not changed:
        raise Conflict(f"“{alert.summary}” is over, or somebody has acknowledged it already.")
    _record(user, "alert.acknowledge", alert.summary, note)


def silence(
    *, user: User, reason: str, ends_at: datetime, rule: str = "", host: str = "", alert: Alert | None = None
) -> Silence:
    """Tell nobody of what matches until then. With `alert`: its rule, for the guest or host that it is about.

    Raises InvalidInput: it would last too long, has ended already, or has no reason.
    """
    now = timezone.now()
    if not reason.strip():
        raise InvalidInput("Say why: others will wonder.")
    if not now < ends_at <= now + LONGEST_SILENCE:
        raise InvalidInput(f"A silence ends within {LONGEST_SILENCE.days} days from now.")
    made = Silence(
        rule=alert.rule if alert else rule,
        host="" if alert and alert.domain else alert.host if alert else host,
        domain=alert.domain if alert else None,
        domain_name=str(alert.labels.get("domain", ""))[:255] if alert and alert.domain else "",
        reason=reason.strip()[:300],
        ends_at=ends_at,
        created_by=user,
        created_by_name=user.username,
    )
    with transaction.atomic():
        made.save()
        for firing in Alert.objects.firing().filter(silence=None):
            if made.matches(firing):
                Alert.objects.filter(pk=firing.pk).update(silence=made)
        _record(user, "alert.silence", made.words, f"until {ends_at:%Y-%m-%d %H:%M %Z}: {made.reason}")
    return made


def end_silence(*, silence: Silence, user: User) -> None:
    """From now on its alerts are loud again, and those that began in it are told."""
    words = silence.words
    _end(silence.pk)
    _record(user, "alert.silence.end", words)


def forget_ended_silences() -> None:
    for ended in Silence.objects.filter(ends_at__lte=timezone.now()).values_list("pk", flat=True):
        _end(ended)


@transaction.atomic
def _end(pk: int) -> None:
    """Its alerts go on in another silence that matches; where there is none, those that still fire and were never told
    are told now."""
    # Locked: no alert begins in one that goes at this moment, and of two that end one only the first finds it.
    lasts = Q(pk=pk) | Q(ends_at__gt=timezone.now())
    silences = {one.pk: one for one in Silence.objects.select_for_update().filter(lasts).order_by("pk")}
    if (ended := silences.pop(pk, None)) is None:
        return
    for alert in Alert.objects.firing().filter(silence=ended):
        other = next((one for one in silences.values() if one.matches(alert)), None)
        row = Alert.objects.firing().filter(pk=alert.pk)
        if other:
            row.update(silence=other)
        elif row.filter(untold=True, acknowledged_at=None).update(untold=False):  # unless it is over by now
            alert.silence = None
            notifying.began(alert)
    ended.delete()


def add_receiver(*, user: User, name: str, address: str, least: str) -> Receiver:
    """From now on it is told of alerts.

    Raises Conflict: vmdash has no mail server, or there is one of that name.
    """
    if not settings.SENDS_MAIL:
        raise Conflict("vmdash has no mail server: set VMDASH_EMAIL_URL first.")
    try:
        with transaction.atomic():
            made = Receiver.objects.create(name=name, address=address, least=least)
            record(user=user, action="alert.receiver.add", target_kind="receiver", target_name=name)
    except IntegrityError:
        raise Conflict(f"There is a receiver {name} already.", hint="Choose another name.") from None
    return made


def remove_receiver(*, receiver: Receiver, user: User) -> None:
    with transaction.atomic():
        receiver.delete()
        record(user=user, action="alert.receiver.remove", target_kind="receiver", target_name=receiver.name)


def try_receiver(*, receiver: Receiver, user: User) -> None:
    """Have it told a trial alert, which is over at once. It is sent with the next round."""
    now = timezone.now()
    with transaction.atomic():
        alert = Alert.objects.create(
            fingerprint=f"test-{receiver.pk}-{now.timestamp()}",
            rule="Test",
            severity=receiver.least,
            summary=f"A trial: {user.username} asked for it",
            description="Nothing is wrong.",
            labels={"alertname": "Test"},
            started_at=now,
            told_at=now,
            expires_at=now,
            resolved_at=now,
        )
        Notification.objects.create(alert=alert, receiver=receiver, event=Notification.Event.FIRING, due_at=now)
        _record(user, "alert.receiver.test", receiver.name)


def _record(user: User, action: str, name: str, detail: str = "") -> None:
    record(user=user, action=action, target_kind="alert", target_name=name, detail=detail)
