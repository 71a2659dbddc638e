"""The authenticator app and recovery codes; who needs a second factor."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.factories import PASSWORD
from tests.signon.authenticator import code_of
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.sessions import people_of

pytestmark = pytest.mark.django_db


def sign_in(user: User) -> Client:
    client = Client()
    client.post("/sign-in/", {"username": user.username, "password": PASSWORD})
    return client


def set_up(client: Client) -> tuple[str, list[str]]:
    """The secret in the app, and the recovery codes."""
    asked = client.get("/account/app/", follow=True)
    assert "show that it is you" in asked.content.decode()
    client.post("/account/confirm/", {"password": PASSWORD, "next": "/account/app/"})
    page = client.get("/account/app/").content.decode()
    secret = re.findall(r"Secret: <code>(\w+)</code>", page)[0]
    done = client.post("/account/app/", {"code": code_of(secret)}, follow=True).content.decode()
    codes = re.findall(r"<li>(\d+)</li>", done)
    assert len(codes) == 10
    return secret, codes


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_the_app_is_asked_for_after_the_password(viewer: User) -> None:
    secret, _ = set_up(sign_in(viewer))
    client = Client()
    answer = client.post("/sign-in/", {"username": "viewer", "password": PASSWORD, "next": "/domains/"})
    assert answer.headers["Location"].startswith("/sign-in/code/")
    assert not is_in(client)
    assert "Use a passkey" not in client.get("/sign-in/code/").content.decode()  # they have none
    wrong = client.post("/sign-in/code/", {"code": "000000"})
    assert "Incorrect code" in wrong.content.decode()
    assert not is_in(client)
    refused = AuditEntry.objects.get(action="sign_in.refused")
    assert (refused.target_name, "wrong code" in refused.detail) == ("viewer", True)
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        assert client.post("/sign-in/code/", {"code": code_of(secret)}).headers["Location"] == "/domains/"
        assert is_in(client)
    assert "password, totp" in AuditEntry.objects.filter(action="sign_in", user=viewer)[0].detail


def test_the_secret_is_stored_encrypted(viewer: User) -> None:
    secret, codes = set_up(sign_in(viewer))
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert not any(code in stored for code in codes)


def test_who_is_asked_once_more_and_answers_wrongly_is_written_down(viewer: User) -> None:
    client = sign_in(viewer)
    set_up(client)
    client.post("/account/confirm/", {"password": "guess"})
    assert "Incorrect code" in client.post("/account/confirm/code/", {"code": "000000"}).content.decode()
    noted = AuditEntry.objects.filter(action="confirm.refused", user=viewer, refused=True).order_by("pk")
    assert [entry.detail for entry in noted] == ["wrong password", "wrong code"]


def test_codes_cannot_be_guessed_without_end(viewer: User) -> None:
    secret, _ = set_up(sign_in(viewer))
    client = sign_in(viewer)
    for _ in range(5):
        client.post("/sign-in/code/", {"code": "000000"})
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        client.post("/sign-in/code/", {"code": code_of(secret)})
        assert not is_in(client)
    assert AuditEntry.objects.filter(action="sign_in.refused")[0].detail == "too many codes"


def test_a_recovery_code_lets_in_once(viewer: User) -> None:
    _, codes = set_up(sign_in(viewer))
    first, second = sign_in(viewer), sign_in(viewer)
    first.post("/sign-in/code/", {"code": codes[0]})
    assert is_in(first)
    second.post("/sign-in/code/", {"code": codes[0]})
    assert not is_in(second)


def test_the_app_is_removed_only_by_who_can_show_who_they_are(viewer: User) -> None:
    set_up(sign_in(viewer))
    stolen = Client()
    stolen.force_login(viewer)
    stolen.post("/account/app/remove/")
    assert Authenticator.objects.filter(user=viewer, type=Authenticator.Type.TOTP).exists()


def test_who_needs_a_second_factor_can_do_nothing_without(settings: Settings, operator: User, viewer: User) -> None:
    settings.SECOND_FACTOR_FROM = "operator"
    client = sign_in(operator)
    assert client.get("/").headers["Location"] == "/account/"
    assert client.post("/jobs/").headers["Location"] == "/account/"
    assert client.get("/", headers={"Accept": "application/json"}).status_code == 403
    assert people_of([client.session.session_key or ""]) == {}
    assert "Your role needs a second factor" in client.get("/account/").content.decode()
    set_up(client)
    assert client.get("/").status_code == 200
    assert people_of([client.session.session_key or ""])
    assert sign_in(viewer).get("/").status_code == 200


def test_a_role_that_was_granted_somewhere_counts_as_well(settings: Settings, nobody: User) -> None:
    settings.SECOND_FACTOR_FROM = "operator"
    client = sign_in(nobody)
    assert client.get("/").status_code == 403
    Grant.objects.create(person=nobody, role="operator", scope="host", scope_id="1")
    assert client.get("/").headers["Location"] == "/account/"


def test_the_last_factor_stays_where_one_is_needed(settings: Settings, operator: User) -> None:
    settings.SECOND_FACTOR_FROM = "operator"
    client = sign_in(operator)
    set_up(client)
    assert client.post("/account/app/remove/").status_code == 200
    assert Authenticator.objects.filter(user=operator, type=Authenticator.Type.TOTP).exists()
    settings.SECOND_FACTOR_FROM = "nobody"
    client.post("/account/app/remove/")
    assert not Authenticator.objects.filter(user=operator, type=Authenticator.Type.TOTP).exists()


@pytest.mark.django_db(transaction=True)
def test_setting_up_and_removing_is_in_the_audit_trail(viewer: User) -> None:
    client = sign_in(viewer)
    set_up(client)
    client.post("/account/app/remove/")
    noted = AuditEntry.objects.filter(action="person.second_factor", user=viewer).order_by("pk")
    assert [entry.detail for entry in noted] == ["authenticator app set up", "authenticator app removed"]


def test_while_redis_is_away_passwords_still_work_and_codes_are_asked_for_later(
    settings: Settings, viewer: User, operator: User
) -> None:
    set_up(sign_in(viewer))
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    assert is_in(sign_in(operator))
    client = sign_in(viewer)
    answer = client.post("/sign-in/code/", {"code": "000000"})
    assert (answer.status_code, "in a moment" in answer.content.decode()) == (503, True)
    assert not is_in(client)


def test_too_many_tries_are_told_of_in_words(viewer: User) -> None:
    client = sign_in(viewer)
    client.get("/account/app/")
    answers = [client.post("/account/confirm/", {"password": "guess"}) for _ in range(11)]
    assert answers[-1].status_code == 429
    assert "Too many tries" in answers[-1].content.decode()


def test_an_administrator_forgets_a_second_factor_that_was_lost(viewer: User) -> None:
    set_up(sign_in(viewer))
    assert not is_in(sign_in(viewer))
    call_command("person", "viewer", "--no-second-factor", stdout=io.StringIO())
    assert is_in(sign_in(viewer))
    assert "second factor forgotten" in AuditEntry.objects.get(action="person.change").detail
