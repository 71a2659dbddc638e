"""Signing in and out."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import PASSWORD, UserFactory
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.main import refusals


def test_the_right_password_leads_where_one_wanted_to_go(anonymous_client: Client, viewer: User) -> None:
    response = anonymous_client.post(
        "/sign-in/", {"username": "viewer", "password": PASSWORD, "next": "/domains/?q=web"}
    )
    assert response.headers["Location"] == "/domains/?q=web"
    assert AuditEntry.objects.get(action="sign_in").user == viewer


def test_nobody_is_led_to_another_site(anonymous_client: Client, viewer: User) -> None:
    response = anonymous_client.post(
        "/sign-in/", {"username": "viewer", "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert response.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("role", "granted", "wanted", "leads_to"),
    [
        ("help_desk", [], "", "/desk/"),
        ("help_desk", [], "/", "/desk/"),  # where everybody is sent from who asked for no page
        ("help_desk", [], "/jobs/", "/jobs/"),
        ("", ["help_desk"], "", "/desk/"),
        ("", ["help_desk", "viewer"], "", "/"),
        ("help_desk", ["operator"], "", "/"),
        ("viewer", [], "", "/"),
        ("", [], "", "/"),
    ],
)
def test_help_desk_lands_on_its_desk(
    anonymous_client: Client, nobody: User, role: str, granted: list[str], wanted: str, leads_to: str
) -> None:
    User.objects.filter(pk=nobody.pk).update(role=role)
    for number, one in enumerate(granted):
        Grant.objects.create(person=nobody, role=one, scope="site", scope_id=str(number))
    fields = {"username": nobody.username, "password": PASSWORD}
    answer = anonymous_client.post("/sign-in/", {**fields, "next": wanted} if wanted else fields)
    assert answer.headers["Location"] == leads_to


def test_a_wrong_password_is_refused_and_written_down(anonymous_client: Client, viewer: User) -> None:
    response = anonymous_client.post("/sign-in/", {"username": "viewer", "password": "guess"})
    assert "is not right" in response.content.decode()
    assert "_auth_user_id" not in anonymous_client.session
    entry = AuditEntry.objects.get(action="sign_in.refused")
    assert (entry.refused, entry.target_name, entry.user) == (True, "viewer", None)


def test_a_stranger_does_not_fill_the_audit_trail(anonymous_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST_AN_HOUR", 3)
    for number in range(5):
        anonymous_client.post("/sign-in/", {"username": f"guess{number}", "password": "guess"})
    noted = AuditEntry.objects.filter(action="sign_in.refused").order_by("pk")
    assert [entry.target_name for entry in noted] == ["guess0", "guess1", "guess2"]
    assert "the last one noted" in noted[2].detail


def test_an_account_that_is_switched_off_cannot_sign_in(anonymous_client: Client, db: None) -> None:
    UserFactory.create(username="gone", is_active=False)
    anonymous_client.post("/sign-in/", {"username": "gone", "password": PASSWORD})
    assert "_auth_user_id" not in anonymous_client.session


def test_signing_out_takes_a_form(viewer_client: Client) -> None:
    assert viewer_client.get("/sign-out/").status_code == 405
    assert viewer_client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert "_auth_user_id" not in viewer_client.session
    assert AuditEntry.objects.filter(action="sign_out").exists()


def test_whoever_is_signed_in_is_not_asked_again(viewer_client: Client) -> None:
    assert viewer_client.get("/sign-in/").headers["Location"] == "/"
