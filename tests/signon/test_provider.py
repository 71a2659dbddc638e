"""Signing in with the company's OpenID provider: a real one, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.socialaccount.internal.statekit import STATES_SESSION_KEY
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import get_user
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from tests.factories import PASSWORD, UserFactory
from tests.signon.provider import Provider
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.sessions import people_of

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.stop()


@pytest.fixture
def provider(running: Provider, settings: Settings) -> Provider:
    settings.OIDC_ISSUER, settings.OIDC_NAME = running.url, "Example Ltd"
    app = {
        "provider_id": "oidc",
        "name": "Example Ltd",
        "client_id": "vmdash",
        "secret": "a secret",
        "settings": {"server_url": running.url},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {**settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]}}
    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [app]
    return running


def knows_ada(provider: Provider, **claims: Any) -> None:
    ada = {"preferred_username": "ada", "email": "ada@example.org", "given_name": "Ada", "family_name": "Lovelace"}
    provider.knows("ada-1", **ada | claims)


def test_the_sign_in_page_offers_the_provider(anonymous_client: Client, provider: Provider) -> None:
    page = anonymous_client.get("/sign-in/?next=/domains/%3Fq%3Dweb%26x%3D1").content.decode()
    assert "Sign in with Example Ltd" in page
    assert "/sign-in/oidc/?next=%2Fdomains%2F%3Fq%3Dweb%26x%3D1" in page


def test_without_a_provider_there_is_no_way_to_it(anonymous_client: Client) -> None:
    assert "Sign in with single" not in anonymous_client.get("/sign-in/").content.decode()
    assert anonymous_client.get("/sign-in/oidc/").status_code == 404
    assert anonymous_client.get("/sign-in/oidc/callback/").status_code == 404


def test_whoever_the_provider_knows_gets_an_account_that_shows_what_their_groups_may(
    anonymous_client: Client, provider: Provider
) -> None:
    support = Group.objects.create(name="support")
    Grant.objects.create(group=support, role="viewer", scope="everything")
    knows_ada(provider, groups=["support", "everybody"])
    answer = provider.lets_in("ada-1", anonymous_client, wanted="/domains/")
    assert answer.redirect_chain[-1][0] == "/domains/"
    assert answer.status_code == 200
    ada = User.objects.get(username="ada")
    assert (ada.email, ada.first_name, ada.role) == ("ada@example.org", "Ada", "")
    assert set(ada.groups.values_list("name", flat=True)) == {"support", "everybody"}
    assert not ada.has_usable_password()
    assert people_of([anonymous_client.session.session_key or ""])
    assert "oidc" in AuditEntry.objects.get(action="sign_in", user=ada).detail


def test_groups_are_as_the_provider_says_at_each_sign_in(anonymous_client: Client, provider: Provider) -> None:
    knows_ada(provider, groups=["support", "operators"])
    provider.lets_in("ada-1", anonymous_client)
    ada = User.objects.get(username="ada")
    knows_ada(provider, groups=["support", "leads"])
    provider.lets_in("ada-1", Client())
    assert set(ada.groups.values_list("name", flat=True)) == {"support", "leads"}
    knows_ada(provider)
    provider.lets_in("ada-1", Client())
    assert not ada.groups.exists()
    assert User.objects.count() == 1
    said = [entry.detail for entry in AuditEntry.objects.filter(action="person.groups").order_by("pk")]
    assert said == ["joined operators, support", "joined leads; left operators", "left leads, support"]


@pytest.mark.parametrize("claim", ["support", ["support", 7, "", None, "x" * 200], {"support": True}, 7])
def test_odd_claims_break_nothing(anonymous_client: Client, provider: Provider, claim: Any) -> None:
    knows_ada(provider, groups=claim)
    provider.lets_in("ada-1", anonymous_client)
    names = set(User.objects.get(username="ada").groups.values_list("name", flat=True))
    assert names == (set() if isinstance(claim, dict | int) else {"support"})


def test_nobodys_account_is_taken_over(anonymous_client: Client, provider: Provider) -> None:
    mine = UserFactory.create(username="ada", email="ada@example.org", role="administrator")
    knows_ada(provider)
    provider.lets_in("ada-1", anonymous_client)
    theirs = get_user(anonymous_client)
    assert theirs.is_authenticated
    assert theirs != mine
    assert getattr(theirs, "role", None) == ""


def test_an_account_that_is_switched_off_stays_so(anonymous_client: Client, provider: Provider) -> None:
    knows_ada(provider)
    provider.lets_in("ada-1", anonymous_client)
    User.objects.update(is_active=False)
    client = Client()
    assert "switched off" in provider.lets_in("ada-1", client).content.decode()
    assert get_user(client).is_anonymous


def test_whom_the_provider_refuses_does_not_come_in(anonymous_client: Client, provider: Provider) -> None:
    answer = anonymous_client.get(provider.answer_of("ada-1", anonymous_client, action="deny"), follow=True)
    assert "did not let you in" in answer.content.decode()
    assert get_user(anonymous_client).is_anonymous


def test_an_answer_that_was_asked_for_elsewhere_is_refused(anonymous_client: Client, provider: Provider) -> None:
    """Nobody is signed in as somebody else by following a link."""
    knows_ada(provider)
    link = provider.answer_of("ada-1", anonymous_client)
    other = Client()
    other.get(link, follow=True)
    assert get_user(other).is_anonymous
    assert anonymous_client.get(link).status_code == 302
    assert get_user(anonymous_client).is_authenticated
    again = Client()
    again.cookies = anonymous_client.cookies
    again.get("/account/")
    assert "did not let you in" in again.get(link).content.decode()


@pytest.mark.parametrize("process", ["connect", "redirect", ""])
def test_it_is_for_signing_in_alone(
    client_of: Callable[[User], Client], provider: Provider, viewer: User, process: str
) -> None:
    knows_ada(provider)
    client = client_of(viewer)
    assert client.get("/sign-in/oidc/", {"process": process}).status_code == 400
    link = provider.answer_of("ada-1", client)
    session = client.session
    for state, *_ in session[STATES_SESSION_KEY].values():
        state["process"] = process
    session.save()
    assert "did not let you in" in client.get(link, follow=True).content.decode()
    assert not SocialAccount.objects.exists()


def test_a_provider_that_does_not_answer_is_told_of(
    anonymous_client: Client, provider: Provider, settings: Settings
) -> None:
    app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
    app["settings"] = {"server_url": "http://127.0.0.1:1"}
    answer = anonymous_client.get("/sign-in/oidc/", follow=True)
    assert answer.status_code == 502
    assert "did not answer" in answer.content.decode()


def test_the_second_factor_is_asked_for_here_as_well(
    anonymous_client: Client, provider: Provider, settings: Settings
) -> None:
    settings.SECOND_FACTOR_FROM = "viewer"
    Grant.objects.create(group=Group.objects.create(name="support"), role="viewer", scope="everything")
    knows_ada(provider, groups=["support"])
    provider.lets_in("ada-1", anonymous_client)
    assert anonymous_client.get("/").headers["Location"] == "/account/"
    assert "Secret: <code>" in anonymous_client.get("/account/app/", follow=True).content.decode()


def test_a_local_password_works_beside_it(anonymous_client: Client, provider: Provider, viewer: User) -> None:
    anonymous_client.post("/sign-in/", {"username": "viewer", "password": PASSWORD})
    assert get_user(anonymous_client) == viewer
