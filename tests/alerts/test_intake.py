"""What vmalert says becomes alerts, and nothing else does."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from vmdash.alerts import intake
from vmdash.alerts.models import Alert, Silence
from vmdash.exceptions import InvalidInput

pytestmark = pytest.mark.django_db


def told(*, ended: bool = False, summary: str = "kvm3 does not answer", **labels: str) -> dict[str, Any]:
    now = timezone.now()
    ends = now - timedelta(seconds=1) if ended else now + timedelta(minutes=1)
    return {
        "labels": {"alertname": "HostUnreachable", "severity": "critical", "host": "kvm3", **labels},
        "annotations": {"summary": summary},
        "startsAt": (now - timedelta(minutes=2)).isoformat(),
        "endsAt": ends.isoformat(),
    }


def test_an_alert_begins_goes_on_and_ends() -> None:
    intake.take([told()])
    alert = Alert.objects.get()
    assert (alert.rule, alert.severity, alert.host, alert.summary) == (
        "HostUnreachable", "critical", "kvm3", "kvm3 does not answer",
    )  # fmt: skip
    intake.take([told(summary="kvm3 still does not answer")])
    assert Alert.objects.get().summary == "kvm3 still does not answer"
    intake.take([told(ended=True)])
    assert Alert.objects.get().resolved_at is not None
    intake.take([told()])
    assert Alert.objects.count() == 2, "a new one"


def test_the_end_of_what_is_not_known_is_nothing() -> None:
    intake.take([told(ended=True)])
    assert not Alert.objects.exists()


def test_other_labels_are_another_alert() -> None:
    intake.take([told(), told(host="kvm1")])
    assert set(Alert.objects.values_list("host", flat=True)) == {"kvm1", "kvm3"}


def test_one_of_which_nothing_is_heard_any_more_is_over() -> None:
    intake.take([told()])
    assert intake.resolve_overdue() == 0
    Alert.objects.update(expires_at=timezone.now() - intake.GRACE - timedelta(seconds=1))
    assert intake.resolve_overdue() == 1
    assert not Alert.objects.firing().exists()


def test_what_is_silenced_begins_silenced() -> None:
    Silence.objects.create(
        rule="HostUnreachable", host="kvm3", reason="moved", ends_at=timezone.now() + timedelta(hours=1)
    )
    intake.take([told(), told(host="kvm1")])
    assert list(Alert.objects.loud().values_list("host", flat=True)) == ["kvm1"]


@pytest.mark.parametrize(
    "body",
    [
        {}, "alert", [1], [{}], [{"labels": {}}], [{"labels": {"alertname": 1}}], [{"labels": []}],
        [{"labels": {"alertname": "a"}, "startsAt": "yesterday"}], [{"labels": {"alertname": "a"}, "endsAt": 5}],
        [{"labels": {"alertname": "a" * 3000}}], [{"labels": {"alertname": "a\0"}}],
        [{"labels": {"alertname": "a"}, "annotations": {"summary": None}}],
        [{"labels": {"alertname": "a"}, "startsAt": "2026-11-26T12:00:00"}],
    ],
)  # fmt: skip
def test_what_is_no_alert_is_refused_and_changes_nothing(body: object) -> None:
    with pytest.raises(InvalidInput):
        intake.take([told(), *body] if isinstance(body, list) else body)
    assert not Alert.objects.exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ALERTS = st.lists(
    st.fixed_dictionaries(
        {"labels": st.dictionaries(st.sampled_from(["alertname", "host", "uuid", "severity"]), st.text(max_size=20))},
        optional={"startsAt": st.text(max_size=20), "endsAt": st.text(max_size=20), "annotations": JSON},
    ),
    max_size=3,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(JSON | ALERTS)
def test_whatever_comes_is_taken_or_refused(client: Client, settings: Settings, body: object) -> None:
    answer = client.post(
        reverse("alerts-receive"),
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {settings.ALERT_TOKEN}"},
    )
    assert answer.status_code in (200, 400)
    assert (answer.status_code == 200) or "error" in answer.json()


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Bearer wr\u00f6ng"])
def test_nobody_else_may_hand_alerts_over(client: Client, administrator_client: Client, token: str) -> None:
    for who in (client, administrator_client):
        answer = who.post(
            reverse("alerts-receive"), [told()], content_type="application/json", headers={"Authorization": token}
        )
        assert answer.status_code == 401
    assert not Alert.objects.exists()
