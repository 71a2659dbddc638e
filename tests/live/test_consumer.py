"""The WebSocket of a page, against the real channel layer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from domains.models import Domain
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, UserFactory, person_with
from tests.polling import poll_async
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.asgi import application
from vmdash.live import groups, refusals
from vmdash.live import redis as live_redis
from vmdash.live.consumers import ABUSE, MOST_HOSTS, MOST_REFUSALS, NOT_PERMITTED, SIGNED_OUT, LiveConsumer
from vmdash.live.following import Following
from vmdash.live.hub import hub
from vmdash.live.outbox import Outbox
from vmdash.live.publish import publish

pytestmark = pytest.mark.django_db(transaction=True)

UUID = "6f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d"


async def test_what_is_asked_for_is_decided_when_its_turn_comes() -> None:
    """A role that changed meanwhile counts."""
    consumer = LiveConsumer()
    consumer._ended, consumer._refusals = False, 0
    consumer._outbox, consumer._following, consumer._change = Outbox(), Following(), asyncio.Lock()
    consumer._person = person_with(Role.OPERATOR, pk=1)
    async with consumer._change:
        asked = asyncio.create_task(consumer.receive('{"type": "watch", "topics": ["jobs"]}'))
        await asyncio.sleep(0)
        consumer._person = person_with(Role.VIEWER, pk=1)
    await asked
    assert consumer._following.groups == {"jobs": groups.jobs_of(1)}
    await hub().change(consumer, leave=[groups.jobs_of(1)])


class Page:
    """A browser's end of the connection."""

    def __init__(self, headers: list[tuple[bytes, bytes]], path: str = "/ws/live/") -> None:
        scope = {
            "type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": [],
            "client": ["192.0.2.9", 1],
        }  # fmt: skip
        self._socket = ApplicationCommunicator(application, scope)
        self._messages: list[dict[str, Any]] = []

    async def connect(self) -> bool:
        await self._socket.send_input({"type": "websocket.connect"})
        answer = await self._socket.receive_output(timeout=5)
        return bool(answer["type"] == "websocket.accept")

    async def leave(self) -> None:
        await self._socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await self._socket.wait(timeout=5)

    async def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else orjson.dumps(message).decode()
        await self._socket.send_input({"type": "websocket.receive", "text": text})

    async def say_bytes(self, message: bytes) -> None:
        await self._socket.send_input({"type": "websocket.receive", "bytes": message})

    async def watch(self, *topics: str) -> None:
        """Follow topics, and wait until the server has understood."""
        await self.say({"type": "watch", "topics": list(topics)})
        await self.say({"type": "nonsense"})  # answered after what came before it
        assert (await self.next("error"))["message"]

    async def next(self, kind: str) -> dict[str, Any]:
        """The next message of that type; others are passed over."""
        while True:
            while self._messages:
                message = self._messages.pop(0)
                if message["type"] == kind:
                    return message
            event = await self._socket.receive_output(timeout=5)
            assert event["type"] == "websocket.send", event
            self._messages = orjson.loads(event["text"])

    async def close_code(self) -> int:
        """Wait until the server closes."""
        while True:
            event = await self._socket.receive_output(timeout=5)
            if event["type"] == "websocket.close":
                return int(event["code"])

    async def hears_nothing(self) -> bool:
        return not self._messages and bool(await self._socket.receive_nothing(timeout=0.2))


async def cookie_of(user: User) -> bytes:
    client = Client()
    await sync_to_async(client.force_login)(user)
    return f"sessionid={client.cookies['sessionid'].value}".encode()


@asynccontextmanager
async def page_of(user: User | None) -> AsyncIterator[Page]:
    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost")]
    if user:
        headers.append((b"cookie", await cookie_of(user)))
    page = Page(headers)
    assert await page.connect()
    try:
        yield page
    finally:
        await page.leave()


def tick(host: int) -> str:
    return orjson.dumps({"type": "tick", "host": host, "at": 1}).decode()


async def test_the_first_message_is_the_servers_clock(viewer: User) -> None:
    async with page_of(viewer) as page:
        assert (await page.next("hello"))["at"] > 1_700_000_000_000


async def test_whoever_is_not_signed_in_is_sent_away() -> None:
    async with page_of(None) as page:
        assert await page.close_code() == SIGNED_OUT


async def test_whoever_has_no_role_is_sent_away(nobody: User) -> None:
    async with page_of(nobody) as page:
        assert await page.close_code() == NOT_PERMITTED


async def test_a_page_of_another_site_cannot_connect(viewer: User) -> None:
    headers = [(b"origin", b"https://evil.example"), (b"host", b"localhost"), (b"cookie", await cookie_of(viewer))]
    assert not await Page(headers).connect()


async def test_a_page_hears_what_it_follows_as_it_was_sent(viewer: User) -> None:
    async with page_of(viewer) as page:
        await page.watch("fleet", "host:3")
        await publish([groups.host(4)], tick(4))
        await publish([groups.host(3)], tick(3))
        assert await page.next("tick") == {"type": "tick", "host": 3, "at": 1}


async def test_a_page_no_longer_hears_what_it_stopped_following(viewer: User) -> None:
    async with page_of(viewer) as page:
        await page.watch("host:3")
        await page.watch("host:4")
        await publish([groups.host(3)], tick(3))
        await publish([groups.host(4)], tick(4))
        assert (await page.next("tick"))["host"] == 4


async def test_the_newest_figures_of_a_host_come_at_once(viewer: User) -> None:
    live_redis.client().set(live_redis.tick_key(5), tick(5))
    async with page_of(viewer) as page:
        await page.say({"type": "watch", "topics": ["host:5", "host:6"]})
        assert (await page.next("tick"))["host"] == 5


def tick_of(host: int, *uuids: str) -> str:
    guests = {uuid: {"cpu": float(len(uuid))} for uuid in uuids}
    blames = {uuid: {"lost": 3.0, "by": [["", 2.0]], "sure": 1.0} for uuid in uuids}
    figures = {"sample": {"cpu": 1.0}, "guests": guests, "blames": blames, "cells": [{"cell": 0}], "places": {}}
    return orjson.dumps({"type": "tick", "host": host, "at": 1, "interval_ms": 2000, **figures}).decode()


async def test_a_page_that_shows_some_guests_of_a_host_gets_the_figures_of_these_alone(viewer: User) -> None:
    other = UUID.replace("6", "7", 1)
    live_redis.client().set(live_redis.tick_key(3), tick_of(3, UUID, other))
    async with page_of(viewer) as some, page_of(viewer) as whole:
        await some.say({"type": "watch", "topics": [f"sample:3:{UUID}"]})
        await whole.say({"type": "watch", "topics": ["host:3"]})
        for page, uuids in ((some, {UUID}), (whole, {UUID, other})):
            newest = await page.next("tick")
            assert newest["guests"].keys() == newest["blames"].keys() == uuids
        await publish([groups.host(3)], {"type": "host_gone", "host": 3})
        await publish([groups.host(3)], tick_of(3, UUID, other), calm=True)
        assert (await some.next("tick"))["guests"].keys() == {UUID}
        assert (await whole.next("host_gone"))["host"] == 3
        assert (await whole.next("tick"))["guests"].keys() == {UUID, other}


async def test_a_page_that_follows_a_host_anyway_gets_all_of_it(viewer: User) -> None:
    async with page_of(viewer) as page:
        await page.watch("host:3", f"sample:3:{UUID}")
        await publish([groups.host(3)], tick(3), calm=True)
        assert await page.next("tick") == {"type": "tick", "host": 3, "at": 1}


async def test_what_two_pages_follow_goes_on_for_one_when_the_other_leaves(viewer: User) -> None:
    async with page_of(viewer) as stays:
        await stays.watch("host:3")
        async with page_of(viewer) as leaves:
            await leaves.watch("host:3")
        await publish([groups.host(3)], tick(3))
        assert (await stays.next("tick"))["host"] == 3


@pytest.mark.parametrize(
    "message",
    ["no json", {"type": "watch", "topics": ["secrets"]}, {"type": "watch", "topics": ["host:1"] * 301}, "x" * 50_000],
)
async def test_what_makes_no_sense_is_said_and_changes_nothing(viewer: User, message: Any) -> None:
    async with page_of(viewer) as page:
        await page.watch("host:3")
        await page.say(message)
        assert (await page.next("error"))["message"]
        await publish([groups.host(3)], tick(3))
        assert await page.next("tick")


async def test_bytes_are_refused(viewer: User) -> None:
    async with page_of(viewer) as page:
        await page.next("hello")
        await page.say_bytes(b"\x00\xff")
        assert (await page.next("error"))["message"]


async def test_whoever_goes_on_with_nonsense_is_cut_off(viewer: User) -> None:
    async with page_of(viewer) as page:
        for _ in range(MOST_REFUSALS + 1):
            await page.say("nonsense")
        assert await page.close_code() == ABUSE


async def test_other_peoples_jobs_are_heard_by_operators_alone(help_desk: User, operator: User) -> None:
    async with page_of(help_desk) as own, page_of(operator) as everybodys:
        await own.watch("jobs")
        await everybodys.watch("jobs")
        await publish([groups.jobs_of(operator.pk), groups.ALL_JOBS], '{"type": "job", "id": "a"}')
        await publish([groups.jobs_of(help_desk.pk), groups.ALL_JOBS], '{"type": "job", "id": "b"}')
        assert (await own.next("job"))["id"] == "b"
        assert (await everybodys.next("job"))["id"] == "a"


async def test_a_viewer_cannot_follow_a_guests_screen(viewer: User) -> None:
    async with page_of(viewer) as page:
        await page.say({"type": "watch", "topics": [f"guest:{UUID}"]})
        assert "may not" in (await page.next("error"))["message"]
        assert not live_redis.client().exists(live_redis.watched_key(UUID))


async def test_while_somebody_looks_at_a_guest_pictures_of_it_are_wanted(help_desk: User) -> None:
    async with page_of(help_desk) as page:
        await page.watch(f"guest:{UUID}")
        assert 0 < live_redis.client().ttl(live_redis.watched_key(UUID)) <= 30


async def test_while_somebody_looks_at_a_host_the_collector_knows(viewer: User) -> None:
    async with page_of(viewer) as page:
        await page.watch(*(f"host:{pk}" for pk in range(7, 7 + 2 * MOST_HOSTS)))
        assert 0 < live_redis.client().ttl(live_redis.watched_host_key(7)) <= 30
        marked = [*live_redis.client().scan_iter(match=live_redis.watched_host_key("*"))]
        assert len(marked) == MOST_HOSTS, "one page cannot have the whole fleet looked at"


async def deactivate(user: User) -> None:
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)


async def end_sessions(user: User) -> None:
    from django.contrib.sessions.models import Session

    await Session.objects.all().adelete()


async def take_role(user: User) -> None:
    await User.objects.filter(pk=user.pk).aupdate(role="")


async def change_password(user: User) -> None:
    user.set_password("another one entirely")
    await user.asave()


@pytest.mark.parametrize(
    ("withdraw", "code"),
    [(deactivate, SIGNED_OUT), (end_sessions, SIGNED_OUT), (change_password, SIGNED_OUT), (take_role, NOT_PERMITTED)],
)
async def test_a_right_that_is_withdrawn_ends_an_open_page(
    viewer: User, withdraw: Callable[[User], Awaitable[None]], code: int
) -> None:
    async with page_of(viewer) as page:
        await page.watch("fleet")
        await withdraw(viewer)
        assert await page.close_code() == code


async def test_a_lower_role_no_longer_hears_everybodys_jobs(operator: User) -> None:
    async with page_of(operator) as page:
        await page.watch("jobs", f"guest:{UUID}")
        await User.objects.filter(pk=operator.pk).aupdate(role=Role.VIEWER)
        await page.next("reload")

        async def only_own_jobs_arrive() -> bool:
            await publish([groups.ALL_JOBS, groups.guest(UUID)], '{"type": "job", "id": "others"}')
            await publish([groups.jobs_of(operator.pk)], '{"type": "job", "id": "own"}')
            return bool((await page.next("job"))["id"] == "own")

        await poll_async(only_own_jobs_arrive)
        assert await page.hears_nothing()


async def granted(role: Role, scope: Scope, thing: Host | Domain) -> tuple[User, Grant]:
    user = await sync_to_async(UserFactory.create)(role="")
    return user, await Grant.objects.acreate(person=user, role=role, scope=scope, scope_id=str(thing.pk))


def named(host: int) -> dict[str, Any]:
    return {"type": "host", "host": host, "name": "kvm", "reason": ""}


async def test_a_page_hears_of_the_hosts_of_its_person_alone() -> None:
    seen, hidden = [await sync_to_async(HostFactory.create)() for _ in range(2)]
    live_redis.client().set(live_redis.tick_key(hidden.pk), tick_of(hidden.pk, UUID))
    user, _ = await granted(Role.VIEWER, Scope.HOST, seen)
    async with page_of(user) as page:
        await page.watch("fleet", f"host:{hidden.pk}", f"host:{seen.pk}", f"sample:{hidden.pk}:{UUID}")
        for host in (hidden, seen):
            await publish([groups.FLEET], orjson.dumps(named(host.pk)).decode())
            await publish([groups.host(host.pk)], tick_of(host.pk, UUID))
        assert (await page.next("host"))["host"] == seen.pk
        assert (await page.next("tick"))["host"] == seen.pk
        assert await page.hears_nothing()
        assert live_redis.client().exists(live_redis.watched_host_key(seen.pk))
        assert not live_redis.client().exists(live_redis.watched_host_key(hidden.pk)), "no work is done for them there"


async def test_a_grant_that_is_withdrawn_ends_what_a_page_hears_within_two_seconds() -> None:
    kept, lost = [await sync_to_async(HostFactory.create)() for _ in range(2)]
    user, _ = await granted(Role.VIEWER, Scope.HOST, kept)
    grant = await Grant.objects.acreate(person=user, role=Role.VIEWER, scope=Scope.HOST, scope_id=str(lost.pk))
    async with page_of(user) as page:
        await page.watch("fleet")
        await publish([groups.FLEET], orjson.dumps(named(lost.pk)).decode())
        assert (await page.next("host"))["host"] == lost.pk
        began = time.monotonic()
        await grant.adelete()
        await page.next("reload")
        assert time.monotonic() - began < 2
        await publish([groups.FLEET], orjson.dumps(named(lost.pk)).decode())
        await publish([groups.FLEET], orjson.dumps(named(kept.pk)).decode())
        assert (await page.next("host"))["host"] == kept.pk


async def test_a_screen_is_followed_by_who_may_open_that_guests_console() -> None:
    mine, other = [await sync_to_async(DomainFactory.create)() for _ in range(2)]
    user, _ = await granted(Role.HELP_DESK, Scope.GUEST, mine)
    async with page_of(user) as page:
        await page.say({"type": "watch", "topics": [f"guest:{other.pk}"]})
        assert "may not" in (await page.next("error"))["message"]
        await page.watch(f"guest:{mine.pk}")
        assert live_redis.client().exists(live_redis.watched_key(mine.pk))
        assert not live_redis.client().exists(live_redis.watched_key(other.pk))


async def test_a_guest_that_moves_away_takes_the_announcements_of_its_pictures_along() -> None:
    guest = await sync_to_async(DomainFactory.create)()
    elsewhere = await sync_to_async(HostFactory.create)()
    user, _ = await granted(Role.HELP_DESK, Scope.HOST, guest.host)
    async with page_of(user) as page:
        await page.watch(f"guest:{guest.pk}")
        picture = {"type": "screen", "uuid": str(guest.pk), "at": 1}
        await publish([groups.guest(guest.pk)], orjson.dumps(picture | {"host": guest.host_id}).decode())
        assert (await page.next("screen"))["host"] == guest.host_id
        guest.host = elsewhere
        await guest.asave()
        await publish([groups.guest(guest.pk)], orjson.dumps(picture | {"host": elsewhere.pk}).decode())
        assert await page.hears_nothing()


async def test_what_is_refused_is_in_the_audit_trail_and_does_not_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST_AN_HOUR", 3)
    mine, other = [await sync_to_async(DomainFactory.create)() for _ in range(2)]
    user, _ = await granted(Role.HELP_DESK, Scope.GUEST, mine)
    async with page_of(user) as page:
        for _ in range(6):
            await page.say({"type": "watch", "topics": [f"guest:{other.pk}"]})
            assert "may not" in (await page.next("error"))["message"]
    noted = [entry async for entry in AuditEntry.objects.filter(action="live.refused").order_by("pk")]
    assert [(entry.user_id, entry.refused, entry.address) for entry in noted] == [(user.pk, True, "192.0.2.9")] * 3
    assert str(other.pk) in noted[0].target_name
    assert "the last one noted" in noted[2].detail


async def test_who_is_not_signed_in_fills_nothing() -> None:
    async with page_of(None) as page:
        await page.say({"type": "nonsense"})
        assert await page.close_code() == SIGNED_OUT
    assert not await AuditEntry.objects.aexists()
