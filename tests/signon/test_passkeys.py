"""Passkeys: as a second factor, in place of the password, and those that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user
from django.test import Client
from pytest_django import Settings

from tests.factories import PASSWORD
from tests.signon.authenticator import Device, options_in
from vmdash.access.models import AuditEntry, User

pytestmark = pytest.mark.django_db
OURS = "https://localhost"


def client_here() -> Client:
    return Client(HTTP_HOST="localhost")


def with_password(user: User) -> Client:
    client = client_here()
    client.post("/sign-in/", {"username": user.username, "password": PASSWORD})
    return client


def add(client: Client, device: Device, *, alone: bool = False) -> Any:
    client.post("/account/confirm/", {"password": PASSWORD, "next": "/account/passkeys/add/"})
    credential = device.make(options_in(client.get("/account/passkeys/add/").content.decode()), alone=alone)
    fields = {"name": "My laptop", "credential": credential, **({"passwordless": "on"} if alone else {})}
    return client.post("/account/passkeys/add/", fields, follow=True)


def alone_with(device: Device, client: Client, **how: Any) -> Any:
    options = client.get("/sign-in/passkey/", headers={"Accept": "application/json"}).json()
    fields = {"credential": device.use(options, **how), "next": "/domains/"}
    return client.post("/sign-in/passkey/", fields, follow=True)


def test_a_passkey_is_asked_for_after_the_password(viewer: User) -> None:
    device = Device(OURS)
    assert "Recovery codes" in add(with_password(viewer), device).content.decode()
    client = with_password(viewer)
    assert get_user(client).is_anonymous
    page = client.get("/sign-in/code/").content.decode()
    assert "Use a passkey" in page
    client.post("/sign-in/code/", {"credential": device.use(options_in(page))})
    assert get_user(client) == viewer
    assert "My laptop" in client.get("/account/").content.decode()
    assert "webauthn" in AuditEntry.objects.filter(action="sign_in")[0].detail


def test_a_passkey_takes_the_place_of_the_password(viewer: User) -> None:
    device, client = Device(OURS), client_here()
    add(with_password(viewer), device, alone=True)
    answer = alone_with(device, client)
    assert get_user(client) == viewer
    assert answer.redirect_chain[-1][0] == "/domains/"


def test_without_a_pin_or_a_finger_a_passkey_is_not_enough(viewer: User) -> None:
    device, client = Device(OURS), client_here()
    add(with_password(viewer), device, alone=True)
    assert "does not fit" in alone_with(device, client, verified=False).content.decode()
    assert get_user(client).is_anonymous
    assert "passkey did not fit" in AuditEntry.objects.get(action="sign_in.refused").detail


def test_an_answer_is_good_once(viewer: User) -> None:
    device, first, second = Device(OURS), client_here(), client_here()
    add(with_password(viewer), device, alone=True)
    options = first.get("/sign-in/passkey/", headers={"Accept": "application/json"}).json()
    credential = device.use(options)
    second.get("/sign-in/passkey/", headers={"Accept": "application/json"})
    second.post("/sign-in/passkey/", {"credential": credential})
    assert get_user(second).is_anonymous
    first.post("/sign-in/passkey/", {"credential": credential})
    assert get_user(first) == viewer


def test_an_answer_from_another_site_is_refused(viewer: User) -> None:
    device, client = Device(OURS), client_here()
    add(with_password(viewer), device, alone=True)
    device.origin = "https://localhost.evil.example"
    alone_with(device, client)
    assert get_user(client).is_anonymous


def test_a_passkey_of_somebody_else_does_not_fit(viewer: User, operator: User) -> None:
    mine, theirs = Device(OURS), Device(OURS)
    add(with_password(viewer), mine)
    add(with_password(operator), theirs)
    client = with_password(viewer)
    page = client.get("/sign-in/code/").content.decode()
    client.post("/sign-in/code/", {"credential": theirs.use(options_in(page))})
    assert get_user(client).is_anonymous


@pytest.mark.parametrize("credential", ["", "x", "{}", "[]", "7", '{"response": {}}', '{"id": "", "response": []}'])
def test_what_no_browser_sends_breaks_nothing(viewer: User, credential: str) -> None:
    client = client_here()
    client.get("/sign-in/passkey/", headers={"Accept": "application/json"})
    assert client.post("/sign-in/passkey/", {"credential": credential}).status_code == 302
    assert get_user(client).is_anonymous
    inside = with_password(viewer)
    inside.post("/account/confirm/", {"password": PASSWORD, "next": "/account/passkeys/add/"})
    inside.get("/account/passkeys/add/")
    assert inside.post("/account/passkeys/add/", {"name": "x", "credential": credential}).status_code == 200
    assert not Authenticator.objects.exists()


def test_a_passkey_is_renamed_and_removed(viewer: User, operator: User) -> None:
    client = with_password(viewer)
    add(client, Device(OURS))
    passkey = Authenticator.objects.get(type=Authenticator.Type.WEBAUTHN)
    stranger = with_password(operator)
    stranger.post("/account/confirm/", {"password": PASSWORD, "next": "/account/"})
    assert stranger.post(f"/account/passkeys/{passkey.pk}/remove/").status_code == 404
    client.post(f"/account/passkeys/{passkey.pk}/", {"name": "Old laptop"})
    assert "Old laptop" in client.get("/account/").content.decode()
    client.post(f"/account/passkeys/{passkey.pk}/remove/")
    assert not Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN).exists()


def test_the_last_one_stays_where_one_is_needed(settings: Settings, operator: User) -> None:
    settings.SECOND_FACTOR_FROM = "operator"
    client = with_password(operator)
    add(client, Device(OURS))
    passkey = Authenticator.objects.get(type=Authenticator.Type.WEBAUTHN)
    answer = client.post(f"/account/passkeys/{passkey.pk}/remove/", follow=True)
    assert "cannot be removed" in answer.content.decode()
    assert Authenticator.objects.filter(pk=passkey.pk).exists()
