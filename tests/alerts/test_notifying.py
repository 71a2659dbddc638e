"""People are told by mail, once each, and again when it could not be sent. (Webhooks: tests/webhooks.)"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.utils import timezone

from tests.alerts.test_intake import told
from vmdash.alerts import intake, notifying
from vmdash.alerts.models import Alert, Notification, Receiver, Silence

pytestmark = pytest.mark.django_db


def test_mail_says_what_since_when_and_that_it_is_over() -> None:
    Receiver.objects.create(name="ops", address="ops@example.org")
    intake.take([told(summary="kvm3 does not answer\nBcc: all@example.org")])
    assert notifying.send_due() == 1
    intake.take([told(ended=True)])
    assert notifying.send_due() == 1
    began, over = mail.outbox
    assert began.subject == "[vmdash] Critical: kvm3 does not answer Bcc: all@example.org"
    assert began.to == ["ops@example.org"]
    assert "host: kvm3" in began.body
    assert over.subject.startswith("[vmdash] Over: kvm3")


@pytest.fixture
def broken_mail(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """While there is something in it, no mail can be sent."""
    troubles = [OSError("Connection refused")]
    send = EmailMessage.send

    def attempt(message: EmailMessage, *args: object, **options: object) -> int:
        if troubles:
            raise troubles[0]
        return send(message)

    monkeypatch.setattr(EmailMessage, "send", attempt)
    return troubles


def test_what_could_not_be_sent_is_sent_again_and_given_up_in_the_end(broken_mail: list[OSError]) -> None:
    Receiver.objects.create(name="ops", address="ops@example.org")
    intake.take([told()])
    for attempt in range(1, notifying.MOST_ATTEMPTS + 1):
        Notification.objects.update(due_at=timezone.now())
        assert notifying.send_due() == 0
        assert Notification.objects.get().attempts == attempt
        assert notifying.send_due() == 0, "not at once"
    one = Notification.objects.get()
    assert one.given_up_at is not None
    assert "refused" in one.error


def test_it_arrives_when_the_mail_server_is_back(broken_mail: list[OSError]) -> None:
    Receiver.objects.create(name="ops", address="ops@example.org")
    intake.take([told()])
    notifying.send_due()
    broken_mail.clear()
    Notification.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert notifying.send_due() == 1
    assert Notification.objects.get().sent_at is not None


def test_the_lesser_the_silenced_and_the_disabled_are_not_told() -> None:
    Receiver.objects.create(name="ops", address="ops@example.org", least="critical")
    Receiver.objects.create(name="off", address="off@example.org", enabled=False)
    Silence.objects.create(rule="PoolFull", reason="known", ends_at=timezone.now() + timedelta(hours=1))
    intake.take([told(severity="warning"), told(alertname="PoolFull")])
    assert Alert.objects.count() == 2
    assert not Notification.objects.exists()


def test_who_was_not_told_of_the_beginning_is_not_told_of_the_end() -> None:
    intake.take([told()])
    Receiver.objects.create(name="ops", address="ops@example.org")
    intake.take([told(ended=True)])
    assert not Notification.objects.exists()
