"""What begins in a silence is told when that ends, if it is still so; and nobody is told anything twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from tests.alerts.test_intake import told
from tests.factories import UserFactory
from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.alerts import intake, notifying, services
from vmdash.alerts.models import Alert, Receiver, Silence
from vmdash.webhooks import handing
from vmdash.webhooks.models import Delivery, Topic, Webhook
from vmdash.webhooks.services import new_secret

pytestmark = pytest.mark.django_db


@pytest.fixture
def person() -> User:
    """Who has a webhook for alerts; others are told of them by mail."""
    person: User = UserFactory.create(role=Role.OPERATOR)
    Receiver.objects.create(name="ops", address="ops@example.org")
    Webhook.objects.create(
        owner=person, name="chat", url="https://chat.example.org/", secret=new_secret(), topics=[Topic.ALERT]
    )
    return person


def silenced(rule: str = "HostUnreachable", host: str = "kvm3") -> Silence:
    ends_at = timezone.now() + timedelta(hours=1)
    return Silence.objects.create(rule=rule, host=host, reason="new power supply", ends_at=ends_at)


def pass_by(silence: Silence) -> None:
    """Its time is up, and the scheduler comes by."""
    Silence.objects.filter(pk=silence.pk).update(ends_at=timezone.now())
    services.forget_ended_silences()


def heard() -> tuple[list[str], list[str]]:
    """What mail and webhook have said so far."""
    notifying.send_due()
    handing.hand_on()
    return [one.subject.split(":")[0] for one in mail.outbox], [
        one.event.kind for one in Delivery.objects.order_by("event__at")
    ]


NOTHING: tuple[list[str], list[str]] = ([], [])
BEGAN = (["[vmdash] Critical"], ["alert.firing"])
BEGAN_AND_ENDED = (["[vmdash] Critical", "[vmdash] Over"], ["alert.firing", "alert.resolved"])


def test_what_began_in_a_silence_is_told_when_somebody_ends_it(person: User) -> None:
    silence = silenced()
    intake.take([told()])
    assert heard() == NOTHING
    services.end_silence(silence=silence, user=person)
    assert Alert.objects.loud().exists()
    assert heard() == BEGAN
    intake.take([told(ended=True)])
    assert heard() == BEGAN_AND_ENDED


def test_and_when_its_time_is_up(person: User) -> None:
    silence = silenced()
    intake.take([told()])
    services.forget_ended_silences()
    assert heard() == NOTHING, "not before"
    pass_by(silence)
    assert heard() == BEGAN


def test_what_somebody_knows_of_by_then_is_not_told(person: User) -> None:
    silence = silenced()
    intake.take([told()])
    services.acknowledge(alert=Alert.objects.get(), user=person)
    pass_by(silence)
    intake.take([told(ended=True)])
    assert heard() == NOTHING


def test_ended_twice_it_is_told_once(person: User) -> None:
    silence = silenced()
    intake.take([told()])
    for one in (silence, Silence.objects.get()):
        services.end_silence(silence=one, user=person)
    assert heard() == BEGAN


def test_what_was_told_before_the_silence_is_not_told_again(person: User) -> None:
    intake.take([told()])
    made = services.silence(
        user=person, reason="new power supply", ends_at=timezone.now() + timedelta(hours=1), alert=Alert.objects.get()
    )
    pass_by(made)
    assert Alert.objects.loud().exists()
    assert heard() == BEGAN
    made = services.silence(
        user=person, reason="once more", ends_at=timezone.now() + timedelta(hours=1), alert=Alert.objects.get()
    )
    services.end_silence(silence=made, user=person)
    intake.take([told(ended=True)])
    assert heard() == BEGAN_AND_ENDED


def test_of_what_was_over_before_the_silence_nobody_hears(person: User) -> None:
    silence = silenced()
    intake.take([told(), told(host="kvm3", uuid="x")])
    intake.take([told(ended=True)])
    Alert.objects.firing().update(expires_at=timezone.now() - timedelta(hours=1))
    intake.resolve_overdue()
    pass_by(silence)
    assert heard() == NOTHING, "neither of its beginning nor of its end"


def test_what_another_silence_holds_waits_for_that_too(person: User) -> None:
    silence, other = silenced(), silenced(rule="")
    silenced(host="kvm1")
    intake.take([told()])
    for one in (silence, other):
        assert heard() == NOTHING
        assert not Alert.objects.loud().exists()
        pass_by(one)
    assert heard() == BEGAN
