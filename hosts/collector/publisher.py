"""From the collector to Redis: the live cache and the browsers. Nobody waits for it, nor needs Redis to be there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import redis.asyncio

from hosts.collector.waiting import wait
from vmdash.live import groups
from vmdash.live.messages import Message
from vmdash.live.publish import add_to, publish
from vmdash.live.redis import refresh_key, screen_key, tick_key

log = logging.getLogger(__name__)

RETRY_S = 1
GATHER_S = 0.1
"""Figures wait for so long for those of other hosts, to go with them."""
KEEP_TICK_S = 7 * 24 * 3600
"""The last figures of a host stay readable, with their age, for a week."""
KEEP_REQUEST_S = 60
KEEP_SCREEN_S = 120
_KEEP = 10_000
"""While Redis is away this many messages wait for it, the newest."""


class Publisher:
    """Used on the event loop's thread. Changes go before figures; of figures only a host's newest wait."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._urgent: deque[Callable[[], Awaitable[object]]] = deque(maxlen=_KEEP)
        self._ticks: dict[int, tuple[str, str]] = {}
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        """Something is urgent."""

    def send(self, messages: Iterable[tuple[Iterable[str], Message]]) -> None:
        for to, message in messages:
            self._add(partial(publish, to, message))

    def request(self, host_id: int, uuid: str) -> None:
        """Have the collector of another host read one of its guests again."""
        self._add(partial(self._push_request, refresh_key(host_id), uuid))

    def screen(self, host_id: int, uuid: str, png: bytes) -> None:
        """A new picture of a guest's screen, taken on that host."""
        self._add(partial(self._put_screen, host_id, uuid, int(time.time() * 1000), png))

    def tick(self, host_id: int, tick: str, pulse: str) -> None:
        """A host's `Tick` and `Pulse`, encoded."""
        self._ticks[host_id] = (tick, pulse)
        self._wake.set()

    def _add(self, sending: Callable[[], Awaitable[object]]) -> None:
        self._urgent.append(sending)
        self._news.set()
        self._wake.set()

    async def run(self) -> None:
        away = False
        while True:
            try:
                await self.flush()
                if away:
                    log.info("Redis answers again.")
                away = False
                await self._wake.wait()
                if not self._urgent:
                    await wait(self._news, time.monotonic() + GATHER_S)
                self._wake.clear()
                self._news.clear()
            except (redis.RedisError, OSError) as error:
                if not away:
                    log.error("Redis does not answer (%s). Collecting goes on; pages get nothing new meanwhile.", error)
                away = True
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """Send all there is. Raises RedisError."""
        while self._urgent or self._ticks:
            while self._urgent:
                sending = self._urgent.popleft()
                try:
                    await sending()
                except BaseException:
                    self._urgent.appendleft(sending)
                    raise
            await self._send_ticks()

    async def _send_ticks(self) -> None:
        """All that wait, in one go."""
        ticks, self._ticks = self._ticks, {}
        if not ticks:
            return
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for host_id, (tick, pulse) in ticks.items():
                    pipe.set(tick_key(host_id), tick, ex=KEEP_TICK_S)
                    add_to(pipe, groups.host(host_id), tick)
                    add_to(pipe, groups.PULSES, pulse)
                await pipe.execute()
        except BaseException:
            self._ticks = ticks | self._ticks
            raise

    async def _push_request(self, key: str, uuid: str) -> None:
        async with self._client.pipeline() as pipe:
            pipe.rpush(key, uuid)
            pipe.expire(key, KEEP_REQUEST_S)
            await pipe.execute()

    async def _put_screen(self, host_id: int, uuid: str, at: int, png: bytes) -> None:
        key = screen_key(uuid)
        async with self._client.pipeline() as pipe:
            pipe.hset(key, mapping={"at": at, "png": png})
            pipe.expire(key, KEEP_SCREEN_S)
            await pipe.execute()
        await publish([groups.guest(uuid)], {"type": "screen", "uuid": uuid, "host": host_id, "at": at})
