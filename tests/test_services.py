"""The tests' own ground: that it is private and works."""

from __future__ import annotations

import httpx
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from tests.factories import CredentialFactory, DomainFactory, JobFactory
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.live.redis import client


def test_the_tests_have_a_redis_of_their_own() -> None:
    client().set("something", 1)
    assert str(settings.REDIS_PORT) not in settings.REDIS_URL
    assert client().get("something") == b"1"


def test_the_history_store_answers(victoria_metrics: str) -> None:
    assert httpx.get(f"{victoria_metrics}/health").is_success
    assert victoria_metrics == settings.TSDB_URL


@pytest.mark.django_db
def test_the_factories_make_valid_rows() -> None:
    DomainFactory.create().full_clean()
    CredentialFactory.create().full_clean()
    JobFactory.create().full_clean(exclude=["result", "parameters"])
    assert Job.objects.unfinished().count() == 1


@pytest.mark.django_db
def test_the_database_is_the_one_that_was_asked_for() -> None:
    assert connection.vendor in settings.DATABASES["default"]["ENGINE"]


def test_a_signed_in_client_is_who_it_says(operator: User, operator_client: Client) -> None:
    assert operator_client.session["_auth_user_id"] == str(operator.pk)
