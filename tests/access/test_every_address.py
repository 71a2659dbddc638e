"""Every address of the web process, as the URL configuration has it, tried by everybody.

An address without a stated rule fails, and so does one whose rule is not kept: strangers get 404, insiders without the
right 403, and no page has a word in it of what its reader may not see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.access.world import WORD, World
from tests.factories import PASSWORD
from vmdash.access.models import User
from vmdash.access.roles import ROLE_PERMISSIONS, Permission, Role
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

FOR_ALL = {
    "alerts-receive",
    "healthz",
    "new-password",
    "readyz",
    "sign-in",
    "sign-out",
    "account_login",
    "account_logout",
    "mfa_authenticate",
    "mfa_login_webauthn",
    "openid_connect_login",
    "openid_connect_callback",
    "socialaccount_login_cancelled",
    "socialaccount_login_error",
}
"""They have no permission, and say themselves who may come."""
OWN = {
    "upload",
    "upload-state",
    "upload-ticket",
    "token-withdraw",
    "webhook-edit",
    "webhook-test",
    "webhook-secret",
    "webhook-on",
    "get_upload",
    "get_upload_ticket",
    "cancel_upload",
    "change_webhook",
    "test_webhook",
    "renew_webhook_secret",
    "switch_webhook_on",
}
"""Seen by those who began it alone."""
OVERSEEN = {
    "webhook",
    "webhook-off",
    "webhook-remove",
    "get_webhook",
    "list_deliveries",
    "switch_webhook_off",
    "remove_webhook",
}
"""Seen by those who made it, and by those who manage alerts everywhere."""
JOBS = {"job", "job-cancel", "job-retry", "get_job", "get_job_log", "cancel_job", "retry_job", "order_migration"}
"""Other people's are seen by those who have the permission for that."""
GRANTED = {"person", "group", "grant-end", "get_person"}
"""Seen by those who manage people where they were granted something."""
NOT_THINGS = {"form", "tab", "action"}
"""Arguments that name nothing."""
MAY_BE_MISSING = {
    "console-ticket",
    "screen",
    "guest-migrate-start",
    "collect_console",
    "undo_tuning",
    "undo_placement",
    "mfa_deactivate_totp",
    "mfa_view_recovery_codes",
    "mfa_download_recovery_codes",
}
"""404 even for those who may: there is no such picture, ticket or target, nothing to undo, and no second factor."""

PEOPLE = [
    "anonymous",
    "stranger",
    "expired",
    "viewer here",
    "help_desk here",
    "operator here",
    "administrator here",
    "operator elsewhere",
    "viewer here and administrator elsewhere",
    "administrator everywhere",
]


@dataclass(frozen=True)
class Address:
    name: str
    view: Any
    arguments: frozenset[str]


def addresses(patterns: Sequence[URLPattern | URLResolver], taken: frozenset[str] = frozenset()) -> Iterator[Address]:
    for one in patterns:
        arguments = taken | set(one.pattern.converters)
        if isinstance(one, URLResolver):
            if one.app_name == "api":
                continue  # its operations: test_every_operation.py
            yield from addresses(one.url_patterns, arguments)
        else:
            yield Address(str(one.name), one.callback, arguments)


ADDRESSES = list(addresses(get_resolver().url_patterns))


@pytest.fixture
def world() -> World:
    return World()


def test_each_states_its_rule() -> None:
    stated = {address.name for address in ADDRESSES if _is_stated(address.view)}
    assert {address.name for address in ADDRESSES} - stated == FOR_ALL


def _is_stated(view: Any) -> bool:
    return isinstance(getattr(view, "permission", None), Permission) or getattr(view, "oneself", False)


@pytest.mark.parametrize("person", PEOPLE)
def test_everybody_gets_what_the_rules_say(world: World, person: str) -> None:
    client, wrong = Client(), []
    who = world.person(person)
    if isinstance(who, User):
        client.force_login(who)
        client.post("/account/confirm/", {"password": PASSWORD})  # so that nobody is asked once more
    before = Job.objects.count()
    for address in ADDRESSES:
        if address.name in FOR_ALL:
            continue
        name = address.name
        url = reverse(name, kwargs=world.arguments(name, set(address.arguments)))
        for method in ("get", "post"):
            with transaction.atomic():
                response = getattr(client, method)(url)
                transaction.set_rollback(True)
            if response.status_code == 405:
                continue
            expected = expected_of(person, address)
            body = b"" if response.streaming else response.content
            if not keeps(response.status_code, expected, name):
                wrong.append(f"{method} {url} ({name}): {response.status_code} instead of {expected}")
            elif expected == "let in" and not sees(person) and WORD.encode() in body:
                at = body.index(WORD.encode())
                wrong.append(f"{method} {url} ({name}) tells {body[max(0, at - 100) : at + 60]!r}")
    assert wrong == []
    assert Job.objects.count() == before


def keeps(status: int, expected: str, name: str) -> bool:
    match expected:
        case "let in":
            return status in (200, 201, 202, 204, 302, 400, 409, 503) or (status == 404 and name in MAY_BE_MISSING)
        case "sign in":
            return status in (302, 401)
    return str(status) == expected


def sees(person: str) -> bool:
    return any(
        granted.endswith(("here", "everywhere")) and not granted.endswith("elsewhere") for granted in _of(person)
    )


def _of(person: str) -> list[str]:
    return person.split(" and ")


def _may(person: str, permission: Permission, *wheres: str) -> bool:
    for granted in _of(person):
        role, _, where = granted.partition(" ")
        if where in wheres and permission in ROLE_PERMISSIONS[Role(role)]:
            return True
    return False


def expected_of(person: str, address: Address) -> str:
    """By the permission that the view states, and what the address is about."""
    if person == "anonymous":
        return "sign in"
    if getattr(address.view, "oneself", False):
        return "404" if "pk" in address.arguments else "let in"
    permission: Permission = address.view.permission
    if not _may(person, permission, "here", "elsewhere", "everywhere"):
        return "403"
    if getattr(address.view, "everywhere", False):
        return "let in" if _may(person, permission, "everywhere") else "403"
    if not address.arguments - NOT_THINGS or address.name == "capacity-table":
        return "let in"
    if address.name in OWN:
        return "404"
    if address.name in OVERSEEN:
        return "let in" if _may(person, Permission.MANAGE_ALERTS, "everywhere") else "404"
    seen = Permission.VIEW_ALL_JOBS if address.name in JOBS else Permission.VIEW
    seen = Permission.MANAGE_PEOPLE if address.name in GRANTED else seen
    if not _may(person, seen, "here", "everywhere"):
        return "404"
    return "let in" if _may(person, permission, "here", "everywhere") else "403"
