"""Health and readiness, as load balancers ask for them: anybody may, and no answer tells a secret."""

from __future__ import annotations

import asyncio

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import Settings
from redis import ConnectionError

from hosts.collector.leases import Leases
from vmdash.live.redis import async_client
from vmdash.main import readiness

pytestmark = pytest.mark.django_db


def collector_renews() -> None:
    async def renew() -> None:
        client = async_client()
        await Leases(client, 8).renew([])
        await client.aclose()

    asyncio.run(renew())


def failed() -> dict[str, str]:
    answer = Client().get("/readyz")
    assert answer.status_code == (503 if answer.json()["failed"] else 200)
    assert answer.json()["ready"] is not bool(answer.json()["failed"])
    assert "no-store" in answer["Cache-Control"]
    found: dict[str, str] = answer.json()["failed"]
    return found


def test_everything_is_there() -> None:
    collector_renews()
    assert failed() == {}


def test_without_a_collector_it_is_not_ready() -> None:
    assert list(failed()) == ["collector"]


def test_migrations_that_were_not_made_are_counted() -> None:
    collector_renews()
    MigrationRecorder(connection).record_unapplied("access", "0001_initial")
    assert failed() == {"migrations": "1 not made yet"}


def test_what_is_away_is_named_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_redis() -> None:
        raise ConnectionError("redis://:hunter2@10.0.0.5")

    def no_database() -> None:
        raise OperationalError("password=hunter2")

    monkeypatch.setattr(readiness, "client", no_redis)
    monkeypatch.setattr(connection, "cursor", no_database)
    assert failed() == dict.fromkeys(("database", "redis", "collector"), "does not answer")


def test_the_process_lives_whatever_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_database() -> None:
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", no_database)
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_nothing_is_posted_there_and_nobody_is_sent_to_https(settings: Settings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    collector_renews()
    assert Client().get(path).status_code == 200
    assert Client().post(path).status_code == 405
    assert Client().get("/").status_code == 301
