"""What is too old goes, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django import Settings

from domains.models import Domain, GuestEvent
from hosts.models import HostEvent
from storage.models import PoolEvent
from tests.factories import DomainFactory, HostFactory, JobFactory, PoolFactory
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, User
from vmdash.celery import app
from vmdash.jobs.models import Job
from vmdash.main import cleanup
from vmdash.webhooks.models import Delivery, Event, Webhook
from vmdash.webhooks.services import new_secret

pytestmark = pytest.mark.django_db


def ago(days: float) -> dict[str, object]:
    return {"state": "succeeded", "finished_at": timezone.now() - timedelta(days=days)}


def test_guests_that_have_been_gone_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "_AT_ONCE", 2)
    for days in (29, 31, 32, 33):
        DomainFactory.create(name=f"gone{days}", gone_at=timezone.now() - timedelta(days=days))
    DomainFactory.create(name="here")
    cleanup.clean_up()
    assert set(Domain.objects.values_list("name", flat=True)) == {"gone29", "here"}


def test_jobs_by_their_age_and_kind(settings: Settings) -> None:
    settings.JOB_RETENTION_DAYS = 90
    kept = [
        JobFactory.create(**ago(89)),
        JobFactory.create(kind="console.open", **ago(6)),
        JobFactory.create(created_at=timezone.now() - timedelta(days=100)),
    ]
    JobFactory.create(**ago(91))
    JobFactory.create(kind="console.open", **ago(8))
    cleanup.clean_up()
    assert set(Job.objects.all()) == set(kept)


def test_sessions_that_have_ended_but_no_audit_entries() -> None:
    now = timezone.now()
    for name, end in (("old", now - timedelta(days=1)), ("new", now + timedelta(days=1))):
        Session.objects.create(session_key=name, session_data="", expire_date=end)
    record(user=None, action="sign_in")
    AuditEntry.objects.update(at=now - timedelta(days=5000))
    cleanup.clean_up()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]
    assert AuditEntry.objects.exists()


def test_the_scheduler_asks_for_it_daily() -> None:
    app.loader.import_default_modules()
    entry = app.conf.beat_schedule["clean-up"]
    assert entry["schedule"] == 24 * 3600
    assert entry["task"] in app.tasks


def test_of_old_events_the_last_of_each_stays_unless_it_is_gone(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 10
    now, host = timezone.now(), HostFactory.create()

    def happened(guest: Domain, days: int, kind: str, state: str) -> None:
        GuestEvent.objects.create(
            uuid=guest.pk, name=guest.name, at=now - timedelta(days=days), kind=kind, host_name=host.name, state=state
        )

    here, gone = DomainFactory.create(host=host), DomainFactory.create(host=host)
    for days, kind, state in ((30, "seen", "running"), (20, "state", "paused"), (5, "state", "running")):
        happened(here, days, kind, state)
    happened(gone, 20, "seen", "running")
    happened(gone, 15, "gone", "shut_off")
    for days, state in ((30, "up"), (20, "unreachable"), (5, "up")):
        HostEvent.objects.create(host=host, at=now - timedelta(days=days), state=state)
    for pool, last in ((PoolFactory.create(host=host), "state"), (PoolFactory.create(host=host), "gone")):
        for days, kind, state in ((30, "seen", "running"), (20, "state", "inactive"), (15, last, "degraded")):
            at = now - timedelta(days=days)
            PoolEvent.objects.create(host=host, uuid=pool.uuid, name=pool.name, at=at, kind=kind, state=state)
    cleanup.clean_up()
    kept = GuestEvent.objects.order_by("at").values_list("uuid", "state")
    assert list(kept) == [(here.pk, "paused"), (here.pk, "running")]
    assert list(HostEvent.objects.order_by("at").values_list("state", flat=True)) == ["unreachable", "up"]
    assert list(PoolEvent.objects.values_list("kind", "state")) == [("state", "degraded")]


def test_events_for_webhooks_after_a_week(operator: User) -> None:
    webhook = Webhook.objects.create(owner=operator, name="chat", url="https://chat.example.org/", secret=new_secret())
    now = timezone.now()
    for days in (6, 8):
        event = Event.objects.create(kind="test", at=now - timedelta(days=days), handed=True)
        Delivery.objects.create(webhook=webhook, event=event, due_at=now)
    cleanup.clean_up()
    assert [(now - one.event.at).days for one in Delivery.objects.all()] == [6]
