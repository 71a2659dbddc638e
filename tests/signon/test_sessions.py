"""Where one is signed in, on the page of one's account."""

from __future__ import annotations

import re
from datetime import timedelta

import time_machine
from allauth.usersessions.models import UserSession
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from tests.factories import PASSWORD
from vmdash.access.models import AuditEntry, User
from vmdash.access.sessions import people_of
from vmdash.main.cleanup import clean_up

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"


def sign_in(user: User, agent: str = FIREFOX, address: str = "192.0.2.1") -> Client:
    client = Client(HTTP_USER_AGENT=agent, REMOTE_ADDR=address)
    client.post("/sign-in/", {"username": user.username, "password": PASSWORD})
    return client


def numbers(page: str) -> list[str]:
    return re.findall(r'name="session" value="(\d+)"', page)


def test_sessions_are_listed_with_browser_and_address(viewer: User, operator: User) -> None:
    here = sign_in(viewer)
    sign_in(viewer, PHONE, "198.51.100.7")
    sign_in(operator, address="203.0.113.9")
    page = here.get("/account/").content.decode()
    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert "198.51.100.7" in page
    assert "203.0.113.9" not in page
    assert len(numbers(page)) == 1  # this one is ended by signing out


def test_ending_a_session_signs_its_pages_out(viewer: User) -> None:
    here, lost = sign_in(viewer), sign_in(viewer, PHONE)
    lost_key = lost.session.session_key or ""
    assert people_of([lost_key])
    here.post("/account/sessions/end/", {"session": numbers(here.get("/account/").content.decode())[0]})
    assert people_of([lost_key]) == {}
    assert lost.get("/").status_code == 302
    assert here.get("/").status_code == 200
    assert AuditEntry.objects.get(action="session.end").user == viewer


def test_all_others_end_at_once(viewer: User) -> None:
    here, others = sign_in(viewer), [sign_in(viewer) for _ in range(3)]
    here.post("/account/sessions/end/", {"others": "1"})
    assert [client.get("/").status_code for client in others] == [302, 302, 302]
    assert here.get("/").status_code == 200


def test_nobody_ends_the_sessions_of_others(viewer: User, operator: User) -> None:
    mine, theirs = sign_in(viewer), sign_in(operator)
    sign_in(operator)
    for number in numbers(theirs.get("/account/").content.decode()):
        mine.post("/account/sessions/end/", {"session": number})
    mine.post("/account/sessions/end/", {"others": "1"})
    assert len(numbers(theirs.get("/account/").content.decode())) == 1


def test_what_is_no_session_is_refused(viewer_client: Client) -> None:
    for value in ("", "x", "-1", "9" * 40, "²"):
        assert viewer_client.post("/account/sessions/end/", {"session": value}).status_code == 400
    assert viewer_client.get("/account/sessions/end/").status_code == 405


def test_when_it_was_last_seen_is_kept_to_the_minute(viewer: User) -> None:
    here = sign_in(viewer)
    with time_machine.travel(timezone.now() + timedelta(minutes=30)):
        here.get("/")
    seen, since = UserSession.objects.filter(user=viewer).values_list("last_seen_at", "created_at")[0]
    assert timedelta(minutes=29) < seen - since < timedelta(minutes=31)


def test_strangers_have_no_account_page(anonymous_client: Client) -> None:
    assert anonymous_client.get("/account/").headers["Location"].startswith("/sign-in/")
    assert anonymous_client.post("/account/sessions/end/", {"others": "1"}).status_code == 302


def test_what_has_ended_is_forgotten_at_the_clean_up(viewer: User) -> None:
    here, gone = sign_in(viewer), sign_in(viewer)
    Session.objects.filter(session_key=gone.session.session_key).delete()
    Client().post("/sign-in/", {"username": "viewer", "password": "guess"})
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        clean_up()
    assert [kept.session_key for kept in UserSession.objects.all()] == [here.session.session_key]
    assert not AccessAttempt.objects.exists()


def test_behind_a_socket_file_people_have_no_address_and_come_in(viewer: User) -> None:
    here = sign_in(viewer, address="")
    assert here.get("/account/").status_code == 200
