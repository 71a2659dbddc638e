"""The WebSocket of a page: it says what it follows, and gets what happens there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser
from redis import RedisError

from vmdash.access import origin
from vmdash.access.bearers import Key
from vmdash.access.reach import reach_of
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import NotPermitted, VmdashError
from vmdash.live.following import Following, newest_ticks
from vmdash.live.hub import Delivery, hub
from vmdash.live.outbox import Outbox
from vmdash.live.people import people
from vmdash.live.publish import encode
from vmdash.live.redis import client, watched_host_key, watched_key
from vmdash.live.refusals import note
from vmdash.live.sight import NOTHING, screens_of
from vmdash.live.topics import group_of, guest_of, host_of, parse_watch

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

SIGNED_OUT = 4401
NOT_PERMITTED = 4403
ABUSE = 1008
BROKEN = 1011

CHECK_EVERY_S = 1.0
"""How often each page asks whether its person may still be here. All pages do so together."""
OLDEST_ANSWER_S = 1.5
"""How old the answer can be when something is sent. What is withdrawn is withdrawn within 2 s."""
HELLO_EVERY_S = 15
WATCHED_EVERY_S = 10
WATCHED_FOR_S = 30
MOST_HOSTS = 20
"""Of the hosts that a page follows, so many are looked at more often for it: that takes work."""
MOST_REFUSALS = 20
"""After so many messages that make no sense the connection is closed."""

_newest_ticks = sync_to_async(newest_ticks, thread_sensitive=False)
_screens_of = database_sync_to_async(screens_of)
_note_refusal = database_sync_to_async(note)


class LiveConsumer(AsyncWebsocketConsumer):
    """One page of one person. What its groups hear comes from the hub of the process.

    Two tasks run beside the dispatching of messages: one sends what waits in the outbox, so that a
    slow browser holds up nothing else; one looks every second whether the person may still be here.
    """

    _sights = NOTHING
    """Of what they hear."""
    _rights = 0
    """How often they have changed."""

    channel_layer_alias = ""  # the hub has the channel, for all pages

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._following = Following()
        self._change = asyncio.Lock()
        self._checking = asyncio.Lock()
        self._checked_at = -OLDEST_ANSWER_S
        self._outbox = Outbox()
        self._refusals = 0
        self._ended = False
        self._person: User | AnonymousUser = AnonymousUser()
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        origin.begin((scope.get("client") or ("",))[0], forwarded)
        try:
            await super().__call__(scope, receive, send)
        finally:
            for task in self._tasks:
                task.cancel()
            await hub().change(self, leave=set(self._following.groups.values()))

    def take(self, delivery: Delivery) -> None:
        """What a group that is followed hears."""
        text = self._following.text(delivery)
        if text is not None:
            self._outbox.put(text, calm=delivery.calm)

    async def connect(self) -> None:
        await self.accept()  # a refusal before this reaches no script in the browser
        if await self._still_permitted(CHECK_EVERY_S):
            self._hello()
            self._tasks = [asyncio.create_task(self._guarded(work)) for work in (self._deliver(), self._keep_up())]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._ended:
            return
        try:
            topics = parse_watch(text_data or "")
            await self._follow(lambda: topics)
        except VmdashError as error:
            self._refusals += 1
            self._outbox.put(encode({"type": "error", "message": str(error)}))
            if self._person.is_authenticated:
                await _note_refusal(self._person, text_data or "", str(error))
            if self._refusals > MOST_REFUSALS:
                await self._end(ABUSE)

    async def _follow(self, choose: Callable[[], Collection[str]]) -> None:
        """Join and leave groups so that exactly the topics are followed that `choose` says.

        It is asked when its turn has come, so that it knows of every change of rights until then.
        """
        async with self._change:
            topics = choose()
            wanted = Following.of(topics, self._person, self._sights, await self._screens(topics))
            before, self._following = self._following, wanted
            groups, groups_before = set(wanted.groups.values()), set(before.groups.values())
            await hub().change(self, join=groups - groups_before, leave=groups_before - groups)
        added = wanted.groups.keys() - before.groups.keys()
        if added:
            await self._tell_of_viewing()
        for text in await _newest_ticks(added, wanted):
            self._outbox.put(text)

    async def _screens(self, topics: Iterable[str]) -> Collection[str]:
        """Of the guests among these topics, those whose screen they may see."""
        uuids = _guests_of(topics)
        if not uuids or can_everywhere(self._person, Permission.CONSOLE):
            return uuids
        return await _screens_of(self._person, uuids) if can(self._person, Permission.CONSOLE) else ()

    async def _tell_of_viewing(self) -> None:
        """Let the collector take pictures of the guests that are looked at, and look at these hosts more often."""
        topics, seen = self._following.groups, self._sights.seen
        hosts = [host for topic in topics if (host := host_of(topic)) is not None]
        visible = [host for host in hosts if seen is None or host in seen.hosts]
        keys = [*map(watched_key, _guests_of(topics)), *map(watched_host_key, visible[:MOST_HOSTS])]
        if keys:
            await sync_to_async(_mark_watched, thread_sensitive=False)(keys)

    def _hello(self) -> None:
        self._outbox.put(encode({"type": "hello", "at": time.time_ns() // 1_000_000}), calm=True)

    async def _deliver(self) -> None:
        while True:
            texts = await self._outbox.take()
            rights = self._rights
            if not await self._still_permitted(OLDEST_ANSWER_S):
                return
            if rights != self._rights:
                continue  # they were meant for somebody with other rights; the page is told to load anew
            await self.send(text_data=f"[{','.join(texts)}]")

    async def _keep_up(self) -> None:
        """Every second: rights; now and then: the hello that shows the line is alive, and what is looked at."""
        seconds = 0
        while await self._still_permitted(CHECK_EVERY_S / 2):
            await asyncio.sleep(CHECK_EVERY_S - time.monotonic() % CHECK_EVERY_S)  # all pages at the same moment
            seconds += 1
            if seconds % HELLO_EVERY_S == 0:
                self._hello()
            if seconds % WATCHED_EVERY_S == 0:
                await self._drop_hidden_screens()
                await self._tell_of_viewing()

    async def _still_permitted(self, oldest_s: float) -> bool:
        """Know who this is, from an answer of the database that is at most so old. Ends the connection when they may
        not be here any more."""
        async with self._checking:
            if self._ended or time.monotonic() - self._checked_at < oldest_s:
                return not self._ended
            asked_at = time.monotonic()
            person, sights = await people().ask(self._key())
            if not can(person, Permission.VIEW):
                await self._end(NOT_PERMITTED if person.is_authenticated else SIGNED_OUT)
                return False
            have_changed = reach_of(self._person) != reach_of(person) or self._sights != sights
            rights_have_changed = self._following.groups and have_changed
            self._person, self._sights = person, sights
            self._rights += bool(rights_have_changed)
            self._following = replace(self._following, sights=sights)
            self._checked_at = asked_at
        if rights_have_changed:
            self._outbox.start_over()
            await self._follow_what_is_allowed()
        return True

    def _key(self) -> Key | None:
        """By which this person is known: their session or, from a script, their token."""
        scope: Any = self.scope
        return scope.get("bearer") or scope["session"].session_key  # type: ignore[no-any-return]

    async def _end(self, code: int) -> None:
        if not self._ended:
            self._ended = True
            await self.close(code)

    async def _follow_what_is_allowed(self) -> None:
        """What remains of what is followed, and the groups behind it, now that they may do other things."""
        screens = await self._screens(self._following.groups)

        def allowed() -> list[str]:
            return [
                topic
                for topic in self._following.groups
                if _allowed(topic, self._person) and ((uuid := guest_of(topic)) is None or uuid in screens)
            ]

        try:
            await self._follow(allowed)
        except NotPermitted:  # it went while that was asked
            await self._follow(lambda: [topic for topic in self._following.groups if not guest_of(topic)])

    async def _drop_hidden_screens(self) -> None:
        """A guest may have moved to where they may not look at it."""
        topics = self._following.groups
        if not _guests_of(topics) <= set(await self._screens(topics)):
            await self._follow_what_is_allowed()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task to its end; when it fails, say so and close, and the browser comes back."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("The live connection of %s ended with an error.", self._person)
            await self._end(BROKEN)


def _allowed(topic: str, person: User | AnonymousUser) -> bool:
    try:
        group_of(topic, person)
    except NotPermitted:
        return False
    return True


def _guests_of(topics: Iterable[str]) -> set[str]:
    return {uuid for topic in topics if (uuid := guest_of(topic))}


def _mark_watched(keys: Iterable[str]) -> None:
    try:
        with client().pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.set(key, 1, ex=WATCHED_FOR_S)
            pipeline.execute()
    except RedisError as error:
        log.warning("The collector cannot be told who is looked at: %s", error)
