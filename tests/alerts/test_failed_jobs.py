"""A job that failed is told once, and is about its guest as soon as that is known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from domains.models import Domain
from tests.alerts.test_intake import told
from tests.factories import DomainFactory, JobFactory
from vmdash.alerts import intake
from vmdash.alerts.models import Alert, Notification, Receiver, Silence
from vmdash.jobs.models import Job
from vmdash.main import gauges

pytestmark = pytest.mark.django_db


class Rule:
    """Says of failed jobs what vmalert does: each set of labels is an alert, and one that is no more there is over."""

    def __init__(self) -> None:
        self._firing: list[dict[str, str]] = []

    def evaluate(self) -> None:
        now = [{name: str(value) for name, value in labels.items()} for _, labels, _ in gauges.jobs()]
        intake.take(list(self._alerts([one for one in self._firing if one not in now], ended=True)))
        intake.take(list(self._alerts(now)))
        self._firing = now

    def _alerts(self, found: list[dict[str, str]], *, ended: bool = False) -> Iterator[dict[str, Any]]:
        for labels in found:
            alert = told(alertname="JobFailed", severity="warning", summary=f"{labels['label']} failed", ended=ended)
            yield alert | {"labels": alert["labels"] | labels}


def failed(guest: UUID, **more: object) -> Job:
    """A job about the guest, known or not, on kvm3."""
    return JobFactory.create(
        state="failed", finished_at=timezone.now(), target_id=str(guest), host_name="kvm3", exclusive=False, **more
    )


def test_a_guest_that_becomes_known_and_goes_makes_no_other_alert_of_it() -> None:
    Receiver.objects.create(name="duty", address="duty@example.org")
    rule, uuid = Rule(), uuid4()
    failed(uuid)
    rule.evaluate()
    assert Alert.objects.get().domain is None
    guest = DomainFactory.create(uuid=uuid)
    rule.evaluate()
    assert Alert.objects.get().domain == uuid, "it is about the guest now"
    Domain.objects.filter(pk=guest.pk).delete()
    rule.evaluate()
    assert list(Notification.objects.values_list("event", flat=True)) == ["firing"], "it was told once"
    Job.objects.all().delete()
    rule.evaluate()
    assert sorted(Notification.objects.values_list("event", flat=True)) == ["firing", "resolved"]


def test_only_what_is_a_guest_is_taken_for_one() -> None:
    guest = DomainFactory.create()
    failed(guest.pk, label="Start it")
    failed(uuid4(), label="Make one")
    failed(guest.pk, target_kind="pool", label="Start a pool")
    Rule().evaluate()
    about = dict(Alert.objects.values_list("summary", "domain"))
    assert about == {"Start it failed": guest.pk, "Make one failed": None, "Start a pool failed": None}


def test_a_silence_of_the_guest_holds_for_its_jobs() -> None:
    guest = DomainFactory.create()
    Silence.objects.create(domain=guest.pk, reason="work", ends_at=timezone.now() + timedelta(hours=1))
    other = DomainFactory.create()
    failed(guest.pk)
    failed(other.pk)
    Rule().evaluate()
    assert list(Alert.objects.loud().values_list("domain", flat=True)) == [other.pk]
