"""Signing in with the company's directory: Debian's slapd, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from tests.factories import PASSWORD as OURS
from tests.factories import UserFactory
from tests.signon.slapd import GROUPS, PASSWORD, PEOPLE, VMDASH, Slapd
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.sessions import people_of

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running() -> Iterator[Slapd]:
    server = Slapd()
    yield server
    server.stop()


@pytest.fixture
def directory(running: Slapd, settings: Settings) -> Slapd:
    settings.AUTHENTICATION_BACKENDS = [
        *settings.AUTHENTICATION_BACKENDS,
        "vmdash.main.signon.directory.Directory",
    ]
    settings.LDAP_URL, settings.LDAP_PEOPLE, settings.LDAP_GROUPS = running.url, PEOPLE, GROUPS
    settings.LDAP_BIND_DN, settings.LDAP_BIND_PASSWORD, settings.LDAP_CA = VMDASH, PASSWORD, running.ca
    running.groups()
    return running


def sign_in(client: Client, name: str = "ada", password: str = PASSWORD) -> Any:
    return client.post("/sign-in/", {"username": name, "password": password})


def groups_of(name: str) -> set[str]:
    return set(Group.objects.filter(user__username=name).values_list("name", flat=True))


def test_whoever_the_directory_knows_gets_an_account_that_shows_what_their_groups_may(
    anonymous_client: Client, directory: Slapd
) -> None:
    directory.groups(support=["ada", "grace"], leads=["ada"], unix=["ada"], others=["grace"])
    Grant.objects.create(group=Group.objects.create(name="support"), role="viewer", scope="everything")
    assert sign_in(anonymous_client).headers["Location"] == "/"
    assert anonymous_client.get("/").status_code == 200
    ada = User.objects.get()
    assert (ada.username, ada.get_full_name(), ada.email, ada.role) == ("ada", "Ada Lovelace", "ada@example.org", "")
    assert groups_of("ada") == {"support", "leads", "unix"}
    assert not ada.has_usable_password()
    assert people_of([anonymous_client.session.session_key or ""])
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "person.add",
        "person.groups",
        "sign_in",
    ]


def test_groups_are_as_the_directory_says_at_each_sign_in(directory: Slapd) -> None:
    for told in ({"support": ["ada"]}, {"leads": ["ada"], "support": ["grace"]}, {}):
        directory.groups(**told)
        sign_in(Client())
        assert groups_of("ada") == {name for name, people in told.items() if "ada" in people}
    assert User.objects.count() == 1


def test_without_a_place_for_groups_they_are_given_here(settings: Settings, directory: Slapd) -> None:
    settings.LDAP_GROUPS = ""
    sign_in(Client())
    User.objects.get().groups.add(Group.objects.create(name="ours"))
    sign_in(Client())
    assert groups_of("ada") == {"ours"}


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "guess"),
        ("ada", ""),  # many directories take that for nobody's, and say yes
        ("nobody", PASSWORD),
        ("*", PASSWORD),
        ("ad*", PASSWORD),
        ("ada)(uid=*", PASSWORD),
        ("vmdash", PASSWORD),  # is in the directory, but not among the people
    ],
)
def test_others_do_not_come_in(anonymous_client: Client, directory: Slapd, name: str, password: str) -> None:
    assert sign_in(anonymous_client, name, password).status_code == 200
    assert get_user(anonymous_client).is_anonymous
    assert not User.objects.exists()


def test_one_way_of_writing_a_name_is_as_good_as_another(directory: Slapd) -> None:
    for name in ("ada", "ADA", " Ada "):
        client = Client()
        sign_in(client, name)
        assert getattr(get_user(client), "username", "") == "ada"
    assert User.objects.count() == 1


def test_too_many_wrong_passwords_lock_out(anonymous_client: Client, directory: Slapd) -> None:
    for name in ("ada", "Ada", "aDa", "adA", "ADA"):
        sign_in(anonymous_client, name, "guess")
    assert sign_in(anonymous_client).status_code == 429


@pytest.mark.parametrize("ours", ["ada", "Ada"])
def test_nobodys_account_is_taken_over(anonymous_client: Client, directory: Slapd, ours: str) -> None:
    mine = UserFactory.create(username=ours, role="administrator")
    sign_in(anonymous_client)
    assert get_user(anonymous_client).is_anonymous
    sign_in(anonymous_client, ours, OURS)
    assert get_user(anonymous_client) == mine


def test_an_account_that_is_switched_off_stays_so(directory: Slapd) -> None:
    open_page, again = Client(), Client()
    sign_in(open_page)
    User.objects.update(is_active=False)
    assert open_page.get("/account/").status_code == 302
    assert sign_in(again).status_code == 200
    assert get_user(again).is_anonymous


def test_while_the_directory_is_away_its_people_are_told_and_others_come_in(
    settings: Settings, anonymous_client: Client, directory: Slapd, viewer: User
) -> None:
    sign_in(Client())
    settings.LDAP_URL = "ldap://127.0.0.1:1"
    for _ in range(6):  # nobody is locked out for that
        answer = sign_in(anonymous_client)
        assert answer.status_code == 503
    assert "does not answer" in answer.content.decode()
    assert AuditEntry.objects.filter(action="sign_in.refused")[0].detail == "the directory did not answer"
    assert sign_in(Client(), "viewer", "guess").status_code == 200
    assert sign_in(Client(), "viewer", OURS).status_code == 302


def test_what_vmdash_may_not_look_up_is_no_wrong_password(settings: Settings, directory: Slapd) -> None:
    settings.LDAP_BIND_PASSWORD = "not this one"
    assert sign_in(Client()).status_code == 503


@pytest.mark.parametrize("way", ["tls", "plain_elsewhere"])
def test_elsewhere_passwords_go_by_tls_to_a_server_that_is_vouched_for(
    settings: Settings, directory: Slapd, way: str
) -> None:
    settings.LDAP_URL = getattr(directory, way)  # with ldap:// it is StartTLS
    assert sign_in(Client()).status_code == 302
    settings.LDAP_CA = "/etc/ssl/certs/ca-certificates.crt"
    assert sign_in(Client()).status_code == 503


def test_a_second_factor_is_asked_for_as_of_others(settings: Settings, directory: Slapd) -> None:
    settings.SECOND_FACTOR_FROM = "viewer"
    directory.groups(support=["ada"])
    Grant.objects.create(group=Group.objects.create(name="support"), role="viewer", scope="everything")
    client = Client()
    sign_in(client)
    assert client.get("/").headers["Location"] == "/account/"
    assert "Secret: <code>" in client.get("/account/app/", follow=True).content.decode()
    assert "not kept here" in client.get("/account/password/", follow=True).content.decode()
