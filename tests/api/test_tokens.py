"""Tokens: made and withdrawn on a page, shown once, never more than their person, counted and recorded."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from domains.models import Domain
from tests.api.caller import Caller
from tests.factories import UserFactory
from vmdash.access import origin
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, User
from vmdash.access.roles import Permission, Role
from vmdash.api import tokens
from vmdash.api.models import Token, TokenScope
from vmdash.exceptions import InvalidInput

pytestmark = pytest.mark.django_db


def test_a_token_is_made_on_the_page_and_shown_once(viewer_client: Client, viewer: User) -> None:
    answer = viewer_client.post("/tokens/", {"name": "backup", "scope": "read", "days": "30"})
    found = re.search(r"vmdash_[\w-]{43}", answer.content.decode())
    assert found
    token = Token.objects.get()
    assert (token.user, token.scope) == (viewer, "read")
    assert token.until and timezone.now() + timedelta(days=29) < token.until
    assert found[0] not in viewer_client.get("/tokens/").content.decode()
    assert found[0] not in str(vars(token))
    assert Client(headers={"authorization": f"Bearer {found[0]}"}).get("/api/v1/hosts").status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_two_of_one_name_are_refused_and_the_page_says_so(viewer_client: Client) -> None:
    fields = {"name": "backup", "scope": "read", "days": "0"}
    viewer_client.post("/tokens/", fields)
    answer = viewer_client.post("/tokens/", fields)
    assert answer.status_code == 400
    assert b"already" in answer.content
    assert Token.objects.count() == 1


def test_a_token_that_is_withdrawn_counts_no_more(client: Client, calls: Caller, operator: User) -> None:
    client.force_login(operator)
    assert calls.get("/hosts").status_code == 200
    client.post(f"/tokens/{calls.token.pk}/withdraw/")
    answer = calls.get("/hosts")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"
    made, withdrawn = AuditEntry.objects.filter(target_kind="token").order_by("pk")
    assert (made.action, withdrawn.action) == ("token.make", "token.withdraw")


def test_nobody_withdraws_a_token_of_others(viewer_client: Client, calls: Caller) -> None:
    assert viewer_client.post(f"/tokens/{calls.token.pk}/withdraw/").status_code == 404
    assert calls.get("/hosts").status_code == 200


def test_a_token_ends_by_itself_and_its_use_afterwards_is_recorded_once(operator: User) -> None:
    _, text = tokens.make(user=operator, name="old", scope=TokenScope.READ, until=timezone.now() + timedelta(hours=1))
    client = Client(headers={"authorization": f"Bearer {text}"})
    assert client.get("/api/v1/hosts").status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert [client.get("/api/v1/hosts").status_code for _ in range(3)] == [401, 401, 401]
    assert AuditEntry.objects.filter(action="token.use", refused=True, user=operator).count() == 1


def test_tokens_of_somebody_who_was_deactivated_count_no_more(calls: Caller, operator: User) -> None:
    User.objects.filter(pk=operator.pk).update(is_active=False)
    assert calls.get("/hosts").status_code == 401


@pytest.mark.parametrize("until", [timedelta(seconds=-1), timedelta(days=3000)])
def test_an_end_that_makes_no_sense_is_refused(operator: User, until: timedelta) -> None:
    with pytest.raises(InvalidInput):
        tokens.make(user=operator, name="x", scope=TokenScope.READ, until=timezone.now() + until)


def test_a_token_that_reads_changes_nothing_and_the_attempt_is_recorded(operator: User, guest: Domain) -> None:
    reads = Caller(operator, TokenScope.READ)
    assert reads.get(f"/guests/{guest.pk}").json()["actions"] == []
    answer = reads.post(f"/guests/{guest.pk}/actions", {"action": "shutdown"})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "This token may only read."
    assert AuditEntry.objects.filter(action="page.refused", user=operator, refused=True).count() == 1


def test_a_token_that_acts_does_not_manage(administrator: User, guest: Domain) -> None:
    acts = Caller(administrator, TokenScope.ACT)
    assert acts.send("PATCH", f"/hosts/{guest.host.name}", {"enabled": False}).status_code == 403
    assert acts.get("/grants").status_code == 403
    assert acts.post(f"/guests/{guest.pk}/actions", {"action": "shutdown"}).status_code == 202


def test_a_token_may_never_do_more_than_its_person(guest: Domain) -> None:
    person = UserFactory.create(username="once-operator", role=Role.OPERATOR)
    calls = Caller(person, TokenScope.EVERYTHING)
    User.objects.filter(pk=person.pk).update(role=Role.VIEWER)
    assert calls.post(f"/guests/{guest.pk}/actions", {"action": "shutdown"}).status_code == 403
    User.objects.filter(pk=person.pk).update(role="")
    assert calls.get(f"/guests/{guest.pk}").status_code == 403


def test_where_a_second_factor_is_needed_tokens_of_who_has_none_do_not_count(
    operator: User, viewer: User, settings: Settings
) -> None:
    settings.SECOND_FACTOR_FROM = "operator"
    reads = Caller(operator, TokenScope.READ)
    answer = reads.get("/hosts")
    assert answer.status_code == 403
    assert "needs a second factor" in answer.json()["detail"]
    assert tokens.people_of([reads.token.digest]) == {}
    assert AuditEntry.objects.filter(action="page.refused", user=operator).count() == 1
    assert Caller(viewer).get("/hosts").status_code == 200
    Authenticator.objects.create(user=operator, type=Authenticator.Type.TOTP, data={})
    assert reads.get("/hosts").status_code == 200
    assert tokens.people_of([reads.token.digest]) == {reads.token.digest: operator}


def test_the_trail_says_by_which_token(operator: User, guest: Domain, operator_client: Client) -> None:
    acts = Caller(operator, TokenScope.ACT)
    acts.post(f"/guests/{guest.pk}/actions", {"action": "shutdown"})
    Caller(operator, TokenScope.READ).post(f"/guests/{guest.pk}/actions", {"action": "shutdown"})
    operator_client.post("/tokens/", {"name": "by hand", "scope": "read", "days": "0"})
    asked = AuditEntry.objects.get(target_kind="domain", action__contains="shutdown")
    assert asked.detail.endswith(f"with the token “{acts.token.name}”")
    assert "with the token “read" in AuditEntry.objects.get(action="page.refused").detail
    assert "with the token" not in AuditEntry.objects.get(target_name="by hand").detail


def test_details_that_are_long_keep_the_name_of_the_token(operator: User) -> None:
    operator.token = "t" * 80
    detail = record(user=operator, action="x", detail="y" * 600).detail
    assert len(detail) == 500
    assert detail.endswith(f"yy; with the token “{'t' * 80}”")


def test_every_permission_belongs_to_a_scope() -> None:
    assert TokenScope.READ.permissions < TokenScope.ACT.permissions < TokenScope.EVERYTHING.permissions
    assert TokenScope.EVERYTHING.permissions == frozenset(Permission)


def test_the_last_use_is_noted_to_the_minute(calls: Caller) -> None:
    calls.get("/hosts")
    calls.token.refresh_from_db()
    assert calls.token.last_used_from == "127.0.0.1"
    first = calls.token.last_used_at
    calls.get("/hosts")
    calls.token.refresh_from_db()
    assert calls.token.last_used_at == first


def test_a_connection_that_stays_notes_the_time_and_nobodys_address(calls: Caller) -> None:
    calls.get("/hosts")
    long_ago = timezone.now() - timedelta(hours=1)
    Token.objects.update(last_used_at=long_ago)
    origin.begin("192.0.2.9")
    try:
        tokens.people_of([calls.token.digest])
    finally:
        origin.end()
    calls.token.refresh_from_db()
    assert calls.token.last_used_at and calls.token.last_used_at > long_ago
    assert calls.token.last_used_from == "127.0.0.1"


def test_too_many_requests_wait_and_other_tokens_do_not(calls: Caller, viewer: User, settings: Settings) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    with time_machine.travel("2030-01-01T12:00:20Z", tick=False):
        assert [calls.get("/hosts").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = calls.get("/hosts")
        assert answer["Retry-After"] == "40"
        assert answer["Content-Type"] == "application/problem+json"
        assert Caller(viewer).get("/hosts").status_code == 200
    with time_machine.travel("2030-01-01T12:01:00Z", tick=False):
        assert calls.get("/hosts").status_code == 200


def test_a_session_is_no_token(operator_client: Client) -> None:
    assert operator_client.get("/api/v1/hosts").status_code == 401


def test_a_wrong_token_does_not_fill_the_trail(db: None) -> None:
    for text in ("vmdash_nonsense", "", "ü" * 300):
        answer = Client(headers={"authorization": f"Bearer {text}"}).get("/api/v1/hosts")
        assert answer.status_code == 401
    assert not AuditEntry.objects.exists()
