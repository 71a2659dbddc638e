"""Every operation of the API, as the API itself lists them, tried by everybody; see test_every_address.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.access.test_every_address import PEOPLE, Address, expected_of, keeps, sees
from tests.access.world import WORD, World
from tests.api.caller import Caller
from vmdash.access.models import User
from vmdash.access.roles import Permission
from vmdash.api.api import api
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db


def operations() -> Iterator[tuple[str, Address]]:
    for router in api._get_bound_routers():
        for view in router.path_operations.values():
            for operation in view.operations:
                function = operation.view_func
                arguments = frozenset(operation.signature.path_params_names)
                for method in operation.methods:
                    yield method, Address(function.__name__, function, arguments)


OPERATIONS = list(operations())


def bodies(world: World) -> dict[str, Any]:
    """What is sent, by the operation; it must be right, or nothing would be learned."""
    host, guest = world.host.name, str(world.guest.pk)
    return {
        "switch_host": {"enabled": True},
        "add_host": {"name": "new", "transport": "tcp", "address": "10.0.0.9"},
        "change_host": {"description": "Rack 4"},
        "test_host": {},
        "trust_host": {"fingerprint": "SHA256:x"},
        "replace_credential": {"username": "vmdash", "password": "another"},
        "drain_host": {"mark": "of another plan"},
        "return_guests": {"mark": "of another plan"},
        "balance_host": {"moves": [{"uuid": guest, "cell": 0}]},
        "add_schedule": {"name": "nightly", "guest": guest},
        "change_schedule": {"keep_last": 4},
        "tune_guest": {"memory_kib": 262_144},
        "place_guest": {"cell": "free"},
        "change_ksm": {"pages_to_scan": 100, "sleep_ms": 20},
        "change_guest": {"owner": "somebody"},
        "act_on_guest": {"action": "shutdown"},
        "act_on_guests": {"action": "shutdown", "guests": [guest]},
        "define_guest": {"host": host, "name": "new", "disk": ""},
        "check_migration": {"targets": [host]},
        "migrate_guest": {"target": host},
        "order_migration": {"order": "pause"},
        "clone_guest": {"name": "another"},
        "mark_template": {"template": True},
        "take_snapshot": {},
        "revert_to_snapshot": {"confirm": world.guest.name},
        "flatten_guest": {},
        "retry_job": {},
        "open_console": {"kind": "serial"},
        "define_pool": {"host": host, "name": "new", "type": "dir", "fields": {"path": "/srv/new"}},
        "act_on_pool": {"action": "refresh"},
        "create_volume": {"name": "new", "capacity_bytes": 1 << 30},
        "clone_volume": {"name": "new"},
        "resize_volume": {"capacity_bytes": 1 << 40},
        "wipe_volume": {"confirm": world.volume.name},
        "add_image": {
            "host": host,
            "pool": world.pool.name,
            "volume": world.volume.name,
            "name": "new",
            "kind": "disk",
        },
        "copy_image": {"host": host, "pool": world.pool.name},
        "add_receiver": {"name": "new", "address": "a@b.example"},
        "add_webhook": {"name": "new", "url": "https://chat.example.org/", "topics": ["alert"]},
        "change_webhook": {"name": "other"},
        "begin_upload": {"file_name": "new.raw", "size_bytes": 1},
        "begin_image_upload": {
            "host": host,
            "pool": world.pool.name,
            "file_name": "new.iso",
            "size_bytes": 1,
            "image_name": "new",
            "kind": "iso",
        },
        "acknowledge_alert": {},
        "want_weekly_mail": {"wanted": False},
        "silence_alert": {"reason": "we know"},
        "add_person": {"username": "new"},
        "change_person": {"role": "viewer"},
        "add_group": {"name": "new"},
        "join_group": {"person": world.somebody.username},
        "give_grant": {"person": world.somebody.username, "role": "viewer", "scope": "host", "on": host},
    }


A_MINUTE_AGO = f"?at={int(time.time()) - 60}"
QUERIES = {
    "remove_host": "?confirm=no",
    "delete_volume": "?confirm=no",
    "remove_group": "?confirm=no",
    "get_past_fleet": A_MINUTE_AGO,
    "list_past_guests": A_MINUTE_AGO,
}
REFUSED = {
    "remove_host": "422",
    "delete_volume": "422",
    "balance_host": "422",
    "copy_image": "422",
    "remove_group": "422",
    "leave_group": "409",
}
"""What is not confirmed, is there already, or is not there is refused even to those who may."""
IN_BODY = {
    "add_schedule": "guest",
    "define_guest": "host",
    "define_pool": "host",
    "begin_image_upload": "host",
    "add_image": "host",
    "give_grant": "host",
}
"""What they are about stands in what is sent."""
SHUTDOWN = SimpleNamespace(permission=Permission.POWER)
"""Each action on guests has a permission of its own."""


def test_each_states_its_rule() -> None:
    without = [one.name for _, one in OPERATIONS if not isinstance(getattr(one.view, "permission", None), Permission)]
    assert without == []


@pytest.mark.parametrize("person", PEOPLE)
def test_everybody_gets_what_the_rules_say(person: str) -> None:
    world = World()
    who, wrong = world.person(person), []
    client = Caller(who).client if isinstance(who, User) else Client()
    before = Job.objects.count()
    sent = bodies(world)
    for method, one in OPERATIONS:
        url = reverse(f"api:{one.name}", kwargs=world.operation_arguments(one.name, set(one.arguments)))
        body = orjson.dumps(sent[one.name]) if method in ("POST", "PATCH", "PUT") and one.name in sent else b""
        with transaction.atomic():
            response = client.generic(method, url + QUERIES.get(one.name, ""), body, content_type="application/json")
            transaction.set_rollback(True)
        expected = expected_of(person, _ruled(one))
        if one.name == "end_grant" and expected == "403" and MANAGES_ELSEWHERE in person:
            expected = "404"  # seen by those who manage people there, and by nobody else
        if expected == "let in":
            expected = REFUSED.get(one.name, expected)
        if not keeps(response.status_code, expected, one.name):
            wrong.append(f"{method} {url} ({one.name}): {response.status_code} instead of {expected}")
        elif expected == "let in" and not sees(person) and WORD.encode() in response.content:
            wrong.append(f"{method} {url} ({one.name}) tells {response.content[:300]!r}")
        elif response.status_code >= 400:
            assert response["Content-Type"] == "application/problem+json"
            assert response.json()["status"] == response.status_code
    assert wrong == []
    assert Job.objects.count() == before


MANAGES_ELSEWHERE = "administrator elsewhere"


def _ruled(one: Address) -> Address:
    """As its rule depends on what is sent."""
    arguments = one.arguments | {IN_BODY[one.name]} if one.name in IN_BODY else one.arguments
    return replace(one, arguments=arguments, view=SHUTDOWN if one.name == "act_on_guest" else one.view)
