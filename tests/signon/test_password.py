"""Wrong passwords, and what comes of too many."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import time_machine
from django.contrib.auth import get_user
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.factories import PASSWORD
from vmdash.access.models import AuditEntry, User


def sign_in(client: Client, name: str, password: str, address: str = "192.0.2.1") -> int:
    return client.post("/sign-in/", {"username": name, "password": password}, REMOTE_ADDR=address).status_code


def guess(client: Client, times: int) -> None:
    for _ in range(times):
        assert sign_in(client, "viewer", "guess") in {200, 429}


def test_too_many_wrong_passwords_lock_the_name_out_from_there_alone(anonymous_client: Client, viewer: User) -> None:
    guess(anonymous_client, 5)
    refused = anonymous_client.post("/sign-in/", {"username": "viewer", "password": PASSWORD}, REMOTE_ADDR="192.0.2.1")
    assert refused.status_code == 429
    assert "Too many wrong passwords" in refused.content.decode()
    assert get_user(anonymous_client).is_anonymous
    assert sign_in(Client(), "viewer", PASSWORD, "192.0.2.2") == 302
    assert AuditEntry.objects.filter(action="sign_in.refused", target_name="viewer").count() == 6


def test_other_ways_of_writing_a_name_give_no_more_tries(anonymous_client: Client, viewer: User) -> None:
    for name in ("viewer", "Viewer", "VIEWER", "viewer ", "vIewer"):
        sign_in(anonymous_client, name, "guess")
    assert sign_in(anonymous_client, "vieweR", PASSWORD) == 429


def test_behind_a_proxy_tries_are_counted_by_the_address_that_it_names(
    settings: Settings, anonymous_client: Client, viewer: User
) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.5")]

    def try_from(address: str, password: str, proxy: str = "10.0.0.5") -> int:
        fields = {"username": "viewer", "password": password}
        headers = {"X-Forwarded-For": address}
        return Client().post("/sign-in/", fields, REMOTE_ADDR=proxy, headers=headers).status_code

    for _ in range(5):
        try_from("198.51.100.1", "guess")
    assert try_from("198.51.100.1", PASSWORD) == 429
    assert try_from("198.51.100.2", PASSWORD) == 302
    for number in range(5):
        try_from(f"198.51.100.{number}", "guess", proxy="192.0.2.7")  # no proxy of ours: the header is made up
    assert try_from("198.51.100.9", PASSWORD, proxy="192.0.2.7") == 429
    locked = AuditEntry.objects.filter(detail__startswith="locked out")
    assert {entry.address for entry in locked} == {"198.51.100.1", "192.0.2.7"}


def test_behind_a_socket_file_wrong_passwords_are_counted_by_name(anonymous_client: Client, viewer: User) -> None:
    for _ in range(5):
        sign_in(anonymous_client, "viewer", "guess", address="")
    assert sign_in(anonymous_client, "viewer", PASSWORD, address="") == 429


def test_being_locked_out_ends_by_itself(anonymous_client: Client, viewer: User) -> None:
    guess(anonymous_client, 5)
    with time_machine.travel(timezone.now() + timedelta(minutes=14)):
        assert sign_in(anonymous_client, "viewer", PASSWORD) == 429
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        assert sign_in(anonymous_client, "viewer", PASSWORD) == 302


def test_an_administrator_lets_somebody_in_before(anonymous_client: Client, viewer: User) -> None:
    guess(anonymous_client, 5)
    call_command("axes_reset_username", "viewer")
    assert sign_in(anonymous_client, "viewer", PASSWORD) == 302


def test_the_right_password_forgives_the_wrong_ones_before(anonymous_client: Client, viewer: User) -> None:
    for _ in range(3):
        guess(Client(), 4)
        assert sign_in(Client(), "viewer", PASSWORD) == 302


def test_nobody_makes_an_account_for_themselves(anonymous_client: Client) -> None:
    for address in ("/accounts/signup/", "/account/signup/", "/sign-up/", "/account/password/reset/"):
        assert anonymous_client.post(address, {"username": "eve", "password1": PASSWORD}).status_code in {302, 404}
    assert not User.objects.exists()


def test_a_new_password_ends_the_other_sessions(viewer: User) -> None:
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        sign_in(client, "viewer", PASSWORD)
    new = "another long sentence"
    page = here.post("/account/password/", {"oldpassword": "guess", "password1": new, "password2": new})
    assert page.status_code == 200
    assert AuditEntry.objects.get(action="confirm.refused").user == viewer
    here.post("/account/password/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    viewer.refresh_from_db()
    assert viewer.check_password(new)
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302
    assert AuditEntry.objects.filter(action="person.password", user=viewer).count() == 1
