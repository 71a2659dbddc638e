"""`manage.py person` makes the people who sign in."""

from __future__ import annotations

import io

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.management import CommandError, call_command

from vmdash.access.models import AuditEntry, User

pytestmark = pytest.mark.django_db


def person(monkeypatch: pytest.MonkeyPatch, *arguments: str, password: str = "") -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    call_command("person", *arguments, stdout=io.StringIO())


def test_a_new_person_can_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    person(monkeypatch, "ada", "--role", "administrator", password="a long secret sentence")
    ada = User.objects.get(username="ada")
    assert (ada.role, ada.check_password("a long secret sentence")) == ("administrator", True)
    assert AuditEntry.objects.get().action == "person.add"


def test_a_weak_password_is_refused_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="too short"):
        person(monkeypatch, "ada", "--role", "viewer", password="ada")
    assert not User.objects.exists()


def test_a_new_person_needs_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="Give a role"):
        person(monkeypatch, "ada")


def test_a_name_that_differs_in_case_alone_is_taken(monkeypatch: pytest.MonkeyPatch, viewer: User) -> None:
    with pytest.raises(CommandError, match="The name viewer is taken"):
        person(monkeypatch, "Viewer", "--role", "operator", password="a long secret sentence")
    assert list(User.objects.all()) == [viewer]


def test_another_role_keeps_the_password(monkeypatch: pytest.MonkeyPatch, viewer: User) -> None:
    password = viewer.password
    person(monkeypatch, viewer.username, "--role", "operator")
    viewer.refresh_from_db()
    assert (viewer.role, viewer.password) == ("operator", password)
    assert AuditEntry.objects.get().detail == "role operator"


def test_another_password_keeps_the_role(monkeypatch: pytest.MonkeyPatch, viewer: User) -> None:
    person(monkeypatch, viewer.username, "--password", password="a long secret sentence")
    viewer.refresh_from_db()
    assert (viewer.role, viewer.check_password("a long secret sentence")) == ("viewer", True)


def test_a_password_that_is_kept_elsewhere_stays_there(monkeypatch: pytest.MonkeyPatch, viewer: User) -> None:
    before = viewer.password
    SocialAccount.objects.create(user=viewer, provider="ldap", uid="viewer")
    with pytest.raises(CommandError, match="kept by the company's directory"):
        person(monkeypatch, viewer.username, "--password", password="a long secret sentence")
    viewer.refresh_from_db()
    assert viewer.password == before


def test_a_mail_address_is_kept_until_another_is_given(monkeypatch: pytest.MonkeyPatch, viewer: User) -> None:
    person(monkeypatch, viewer.username, "--email", "lead@example.org")
    person(monkeypatch, viewer.username, "--role", "operator")
    viewer.refresh_from_db()
    assert viewer.email == "lead@example.org"
    with pytest.raises(CommandError, match="valid email"):
        person(monkeypatch, viewer.username, "--email", "nobody")
