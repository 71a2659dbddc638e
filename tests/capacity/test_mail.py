"""The weekly summary: off until somebody asks, once a week, and only what that person may see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.test import Client
from pytest_django import Settings

from domains.capacity.mail import send_due
from domains.capacity.models import CapacityMail
from domains.models import DomainQuerySet
from tests.factories import DomainFactory, HostFactory
from vmdash.access.models import User
from vmdash.celery import app
from vmdash.main import tasks

pytestmark = pytest.mark.django_db

MONDAY = datetime(2027, 3, 1, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def mail_server(settings: Settings) -> Iterator[None]:
    settings.SENDS_MAIL = True
    settings.PUBLIC_URL = "https://fleet.example"
    yield


@pytest.fixture
def lead(viewer: User) -> User:
    viewer.email = "lead@example.org"
    viewer.save()
    return viewer


@pytest.fixture
def asked(lead: User, viewer_client: Client) -> CapacityMail:
    viewer_client.post("/capacity/mail/", {"want": "yes"})
    found: CapacityMail = CapacityMail.objects.get(user=lead)
    return found


def test_nobody_gets_it_who_did_not_ask(lead: User) -> None:
    send_due(MONDAY)
    assert mail.outbox == []


def test_it_comes_on_monday_and_once(asked: CapacityMail) -> None:
    host = HostFactory.create(name="kvm1")
    DomainFactory.create(host=host, vcpus=4)
    send_due(MONDAY - timedelta(days=1))
    before = len(mail.outbox)
    send_due(MONDAY - timedelta(minutes=61))  # 6:59
    assert len(mail.outbox) == before
    for minutes in (0, 30, 3 * 24 * 60):
        send_due(MONDAY + timedelta(minutes=minutes))
    assert len(mail.outbox) == before + 1
    message = mail.outbox[-1]
    assert message.to == ["lead@example.org"]
    assert message.subject == "Capacity: 1 host whose failure would leave guests without a place"
    text = str(message.body)
    assert "4 vCPU on 8 CPUs (0.50 ×)" in text
    assert "kvm1: 1 guest of 1 would not come back." in text
    assert "No forecast yet" in text
    assert "https://fleet.example/capacity/" in text
    send_due(MONDAY + timedelta(days=7))
    assert len(mail.outbox) == before + 2


def test_who_asks_gets_the_first_one_next_monday(asked: CapacityMail) -> None:
    assert asked.sent_for
    send_due(datetime.combine(asked.sent_for, datetime.min.time(), UTC) + timedelta(days=6, hours=23))
    assert mail.outbox == []
    send_due(datetime.combine(asked.sent_for, datetime.min.time(), UTC) + timedelta(days=7, hours=8))
    assert len(mail.outbox) == 1


def test_who_has_lost_the_right_or_the_address_gets_none(asked: CapacityMail) -> None:
    User.objects.filter(pk=asked.user_id).update(role="")
    send_due(MONDAY)
    User.objects.filter(pk=asked.user_id).update(role="viewer", email="")
    send_due(MONDAY)
    User.objects.filter(pk=asked.user_id).update(email="lead@example.org", is_active=False)
    send_due(MONDAY)
    assert mail.outbox == []


def test_it_tells_ones_own_part_only(asked: CapacityMail, monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostFactory.create()
    DomainFactory.create(name="my-web", host=host, vcpus=3)
    DomainFactory.create(name="others-db", host=host, vcpus=6)
    monkeypatch.setattr(DomainQuerySet, "visible_to", lambda self, user: self.present().filter(name__startswith="my"))
    send_due(MONDAY)
    text = str(mail.outbox[-1].body)
    assert "This is your part only" in text
    assert "1 guest that runs, with 3 vCPU" in text
    assert "IF A HOST FAILS" not in text


def test_when_the_server_refuses_it_is_tried_again(asked: CapacityMail, settings: Settings) -> None:
    working, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "tests.capacity.test_mail.Refusing"
    send_due(MONDAY)
    asked.refresh_from_db()
    assert asked.trouble == "ConnectionRefusedError: no mail today"
    settings.EMAIL_BACKEND = working
    send_due(MONDAY + timedelta(minutes=30))
    asked.refresh_from_db()
    assert (len(mail.outbox), asked.trouble) == (1, "")


class Refusing:
    """A mail server that does not want."""

    def __init__(self, **options: object) -> None:
        pass

    def send_messages(self, messages: object) -> int:
        raise ConnectionRefusedError("no mail today")


def test_it_can_be_ended(asked: CapacityMail, viewer_client: Client) -> None:
    assert "Stop the weekly mail" in viewer_client.get("/capacity/").content.decode()
    viewer_client.post("/capacity/mail/", {"want": "no"})
    send_due(MONDAY)
    assert mail.outbox == []
    assert not CapacityMail.objects.exists()


@pytest.mark.parametrize(("email", "server"), [("", True), ("lead@example.org", False)])
def test_without_an_address_or_a_server_it_is_not_offered(
    viewer: User, viewer_client: Client, settings: Settings, email: str, server: bool
) -> None:
    User.objects.filter(pk=viewer.pk).update(email=email)
    settings.SENDS_MAIL = server
    page = viewer_client.get("/capacity/").content.decode()
    assert "disabled" in page.partition('action="/capacity/mail/"')[2].partition("</form>")[0]
    answer = viewer_client.post("/capacity/mail/", {"want": "yes"}, follow=True)
    assert "The weekly summary cannot be sent." in answer.content.decode()
    assert not CapacityMail.objects.exists()


def test_who_may_ask(
    anonymous_client: Client, nobody_client: Client, viewer_client: Client, help_desk_client: Client, lead: User
) -> None:
    assert anonymous_client.post("/capacity/mail/", {"want": "yes"}).status_code == 302
    assert nobody_client.post("/capacity/mail/", {"want": "yes"}).status_code == 403
    assert not CapacityMail.objects.exists()
    assert viewer_client.post("/capacity/mail/", {"want": "perhaps"}).status_code == 400
    assert viewer_client.get("/capacity/mail/").status_code == 405
    assert not CapacityMail.objects.exists()
    assert help_desk_client.post("/capacity/mail/", {"want": "no"}).status_code == 302


def test_the_scheduler_looks_after_both() -> None:
    entries = app.conf.beat_schedule
    assert entries["capacity"]["task"] == tasks.capacity.name
    assert entries["capacity-mail"]["task"] == tasks.capacity_mail.name
    assert {tasks.capacity.name, tasks.capacity_mail.name} <= set(app.tasks)
