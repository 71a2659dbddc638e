"""What vmalert says, in Alertmanager's format, and what becomes of it. Nothing in it is trusted.

Source: https://prometheus.io/docs/alerting/latest/alerts_api/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from vmdash.access import subjects
from vmdash.access.subjects import Subject
from vmdash.alerts import notifying
from vmdash.alerts.models import Alert, Silence
from vmdash.exceptions import InvalidInput
from vmdash.jobs.models import TARGET_GUEST, Job
from vmdash.uuids import uuid_of

MOST_ALERTS = 5_000
MOST_LABELS = 64
LONGEST = 2_000
GRACE = timedelta(minutes=5)
"""An alert of which nothing was heard for so long after vmalert's own limit is over."""


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it was told. `ends_at` in the past: it is over."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.labels.items())).encode()).hexdigest()


def take(body: object) -> int:
    """Bring our alerts up to date. Returns how many were told.

    Raises:
        InvalidInput: this is not a list of alerts; nothing is changed.
    """
    if not isinstance(body, list) or len(body) > MOST_ALERTS:
        raise InvalidInput(f"A list of at most {MOST_ALERTS} alerts is expected.")
    told = [_told(one) for one in body]
    silences = list(Silence.objects.filter(ends_at__gt=timezone.now()))
    for one in told:
        _take(one, silences)
    return len(told)


def resolve_overdue() -> int:
    """End alerts of which nothing is heard any more. Returns how many."""
    ended = 0
    for alert in Alert.objects.firing().filter(expires_at__lt=timezone.now() - GRACE):
        ended += _resolve(alert, timezone.now())
    return ended


def _take(one: Told, silences: Iterable[Silence]) -> None:
    now = timezone.now()
    alert = Alert.objects.firing().filter(fingerprint=one.fingerprint).first()
    if one.ends_at <= now:
        if alert is not None:
            _resolve(alert, one.ends_at)
        return
    if alert is None:
        _begin(one, silences, now)
        return
    news: dict[str, Any] = _words(one)
    if alert.job and alert.domain is None:
        news["domain"] = _guest_of_job(alert.job)
    Alert.objects.filter(pk=alert.pk).update(told_at=now, expires_at=one.ends_at, **news)


def _begin(one: Told, silences: Iterable[Silence], now: datetime) -> None:
    labels = one.labels
    guest, job = uuid_of(labels.get("uuid", "")), uuid_of(labels.get("job_id", ""))
    if job and guest is None:
        guest = _guest_of_job(job)
    alert = Alert(
        fingerprint=one.fingerprint,
        labels=dict(labels),
        host=labels.get("host", "")[:80],
        domain=guest,
        pool=labels.get("pool", "")[:255],
        job=job,
        started_at=min(one.starts_at, now),
        told_at=now,
        expires_at=one.ends_at,
        rule=labels.get("alertname", "")[:200],
        **_words(one),
    )
    alert.silence = next((silence for silence in silences if silence.matches(alert)), None)
    alert.untold = alert.silence is not None
    try:
        with transaction.atomic():
            alert.save(force_insert=True)
            notifying.began(alert)
    except IntegrityError:  # another process was told the same at this moment
        return


def _guest_of_job(job: UUID) -> UUID | None:
    """The guest that a job is about, if it is known: one that never came about is nobody's, and one that a job was to
    make may be written down after that has failed."""
    about = Job.objects.filter(pk=job).annotate(guest=TARGET_GUEST).values("guest")
    return subjects.all_of(Subject.GUEST).filter(pk__in=about).values_list("pk", flat=True).first()


def _resolve(alert: Alert, at: datetime) -> int:
    with transaction.atomic():
        ended = Alert.objects.filter(pk=alert.pk, resolved_at=None).update(resolved_at=max(at, alert.started_at))
        if ended:
            notifying.ended(alert)
    return ended


def _words(one: Told) -> dict[str, str]:
    severity = one.labels.get("severity", "")
    return {
        "severity": severity if severity in Alert.Severity.values else Alert.Severity.WARNING,
        "summary": (one.annotations.get("summary") or one.labels.get("alertname", "Alert"))[:500],
        "description": one.annotations.get("description", "")[:LONGEST],
    }


def _told(one: object) -> Told:
    if not isinstance(one, dict):
        raise InvalidInput("An alert must be an object.")
    labels, annotations = _texts(one, "labels"), _texts(one, "annotations")
    if not labels.get("alertname"):
        raise InvalidInput("An alert has no label “alertname”.")
    now = timezone.now()
    return Told(
        labels=labels,
        annotations=annotations,
        starts_at=_time(one, "startsAt") or now,
        ends_at=_time(one, "endsAt") or now + GRACE,
    )


def _texts(one: Mapping[str, Any], name: str) -> dict[str, str]:
    found = one.get(name) or {}
    if not isinstance(found, dict) or len(found) > MOST_LABELS:
        raise InvalidInput(f"“{name}” must be an object with at most {MOST_LABELS} texts.")
    if any(not isinstance(value, str) or len(value) > LONGEST or "\0" in key + value for key, value in found.items()):
        raise InvalidInput(f"“{name}” must hold texts of at most {LONGEST} characters.")
    return found


def _time(one: Mapping[str, Any], name: str) -> datetime | None:
    text = one.get(name)
    if not text:
        return None
    try:
        at = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidInput(f"“{name}” must be a time such as 2026-11-26T12:00:00Z.")
    return None if at.year < 2000 else at  # Go's zero time stands for none
