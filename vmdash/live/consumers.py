"""The WebSocket of a page: it says what it follows, and gets what happens there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser
from redis import RedisError

from vmdash.access.roles import Permission, can
from vmdash.access.sessions import person_of
from vmdash.exceptions import NotPermitted, VmdashError
from vmdash.live import cache
from vmdash.live.outbox import Outbox
from vmdash.live.publish import encode
from vmdash.live.redis import client, watched_key
from vmdash.live.topics import group_of, guest_of, host_of, parse_watch

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

SIGNED_OUT = 4401
NOT_PERMITTED = 4403
ABUSE = 1008
BROKEN = 1011

CHECK_EVERY_S = 1.0
"""How old the answer to "may they still?" can be when something is sent. One that is withdrawn works within 2 s."""
HELLO_EVERY_S = 15
WATCHED_EVERY_S = 10
WATCHED_FOR_S = 30
MOST_REFUSALS = 20
"""After so many messages that make no sense the connection is closed."""

_person_of = database_sync_to_async(person_of)
_newest_ticks = sync_to_async(cache.encoded_ticks, thread_sensitive=False)


class LiveConsumer(AsyncWebsocketConsumer):
    """One page of one person.

    Two tasks run beside the dispatching of messages: one sends what waits in the outbox, so that a
    slow browser holds up nothing else; one looks every second whether the person may still be here.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._followed: dict[str, str] = {}  # topic → group
        self._following = asyncio.Lock()
        self._checking = asyncio.Lock()
        self._checked_at = -CHECK_EVERY_S
        self._outbox = Outbox()
        self._refusals = 0
        self._ended = False
        self._person: User | AnonymousUser = AnonymousUser()
        try:
            await super().__call__(scope, receive, send)
        finally:
            for task in self._tasks:
                task.cancel()
            for group in set(self._followed.values()):
                await self.channel_layer.group_discard(group, self.channel_name)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """What others publish goes straight to the outbox, the rest to the methods named after it."""
        if message["type"] == "live.forward":
            self._outbox.put(message["text"])
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        await self.accept()  # a refusal before this reaches no script in the browser
        if await self._still_permitted():
            self._hello()
            self._tasks = [asyncio.create_task(self._guarded(work)) for work in (self._deliver(), self._keep_up())]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._ended:
            return
        try:
            topics = parse_watch(text_data or "")
            await self._follow(lambda: {topic: group_of(topic, self._person) for topic in topics})
        except VmdashError as error:
            self._refusals += 1
            self._outbox.put(encode({"type": "error", "message": str(error)}))
            if self._refusals > MOST_REFUSALS:
                await self._end(ABUSE)

    async def _follow(self, choose: Callable[[], dict[str, str]]) -> None:
        """Join and leave groups so that exactly what `choose` says (topic → group) is followed.

        It is asked when its turn has come, so that it knows of every change of rights until then.
        """
        async with self._following:
            wanted = choose()
            before, self._followed = self._followed, wanted
            for group in set(before.values()) - set(wanted.values()):
                await self.channel_layer.group_discard(group, self.channel_name)
            for group in set(wanted.values()) - set(before.values()):
                await self.channel_layer.group_add(group, self.channel_name)
        added = wanted.keys() - before.keys()
        await self._want_pictures(added)
        hosts = [host for topic in added if (host := host_of(topic)) is not None]
        for text in await _newest_ticks(hosts):
            self._outbox.put(text)

    async def _want_pictures(self, topics: Iterable[str]) -> None:
        """Let the collector take pictures of the guests that are looked at."""
        uuids = [uuid for topic in topics if (uuid := guest_of(topic))]
        if uuids:
            await sync_to_async(_mark_watched, thread_sensitive=False)(uuids)

    def _hello(self) -> None:
        self._outbox.put(encode({"type": "hello", "at": time.time_ns() // 1_000_000}))

    async def _deliver(self) -> None:
        while True:
            text = await self._outbox.get()
            if not await self._still_permitted():
                return
            await self.send(text_data=text)

    async def _keep_up(self) -> None:
        """Every second: rights; now and then: the hello that shows the line is alive, and wanted pictures."""
        seconds = 0
        while await self._still_permitted():
            await asyncio.sleep(CHECK_EVERY_S)
            seconds += 1
            if seconds % HELLO_EVERY_S == 0:
                self._hello()
            if seconds % WATCHED_EVERY_S == 0:
                await self._want_pictures(self._followed)

    async def _still_permitted(self) -> bool:
        """Ask the database who this is now, once a second. Ends the connection when they may not be here any more."""
        async with self._checking:
            if self._ended or time.monotonic() - self._checked_at < CHECK_EVERY_S:
                return not self._ended
            asked_at = time.monotonic()
            person = await _person_of(self.scope["session"].session_key)
            if not can(person, Permission.VIEW):
                await self._end(NOT_PERMITTED if person.is_authenticated else SIGNED_OUT)
                return False
            role_has_changed = self._followed and getattr(self._person, "role", "") != getattr(person, "role", "")
            self._person = person
            self._checked_at = asked_at
        if role_has_changed:
            self._outbox.start_over()
            await self._follow(self._still_allowed_topics)
        return True

    async def _end(self, code: int) -> None:
        if not self._ended:
            self._ended = True
            await self.close(code)

    def _still_allowed_topics(self) -> dict[str, str]:
        """What of the followed topics remains, and the groups behind them now that the role is another."""
        allowed = {}
        for topic in self._followed:
            try:
                allowed[topic] = group_of(topic, self._person)
            except NotPermitted:
                continue
        return allowed

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task to its end; when it fails, say so and close, and the browser comes back."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("The live connection of %s ended with an error.", self._person)
            await self._end(BROKEN)


def _mark_watched(uuids: list[str]) -> None:
    try:
        with client().pipeline(transaction=False) as pipeline:
            for uuid in uuids:
                pipeline.set(watched_key(uuid), 1, ex=WATCHED_FOR_S)
            pipeline.execute()
    except RedisError as error:
        log.warning("Pictures cannot be asked for: %s", error)
