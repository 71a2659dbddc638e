"""From the collector to Redis: the live cache and the browsers. Nobody waits for it, nor needs Redis to be there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

import redis.asyncio
from redis.asyncio.client import Pipeline

from hosts.collector.waiting import wait
from vmdash.live import groups
from vmdash.live.messages import Message
from vmdash.live.publish import add_to, encode
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
_AT_ONCE = 100
"""So many go in one turn: one at a time each costs three times as much, all at once would hold up the event loop."""

_Add = Callable[[Pipeline], None]
"""Has the commands of one message go with a pipeline."""


class Publisher:
    """Used on the event loop's thread. Changes go before figures; of figures only a host's newest wait."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._urgent: deque[_Add] = deque(maxlen=_KEEP)
        self._ticks: dict[int, tuple[str, str]] = {}
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        """Something is urgent."""

    def send(self, messages: Iterable[tuple[Iterable[str], Message]]) -> None:
        for to, message in messages:
            self._add(partial(_add_message, list(to), message))

    def request(self, host_id: int, uuid: str) -> None:
        """Have the collector of another host read one of its guests again."""
        self._add(partial(_add_request, refresh_key(host_id), uuid))

    def screen(self, host_id: int, uuid: str, png: bytes) -> None:
        """A new picture of a guest's screen, taken on that host."""
        self._add(partial(_add_screen, host_id, uuid, int(time.time() * 1000), png))

    def tick(self, host_id: int, tick: str, pulse: str) -> None:
        """A host's `Tick` and `Pulse`, encoded."""
        self._ticks[host_id] = (tick, pulse)
        self._wake.set()

    def _add(self, add: _Add) -> None:
        self._urgent.append(add)
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
                await self._send_urgent()
            await self._send_ticks()

    async def _send_urgent(self) -> None:
        """The oldest, in one go. If that fails half-way some are sent again, which says nothing new."""
        oldest = [self._urgent.popleft() for _ in range(min(_AT_ONCE, len(self._urgent)))]
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for add in oldest:
                    add(pipe)
                await pipe.execute()
        except BaseException:
            self._urgent = deque([*oldest, *self._urgent], maxlen=_KEEP)
            raise

    async def _send_ticks(self) -> None:
        """All that wait, in one go."""
        ticks, self._ticks = self._ticks, {}
        if not ticks:
            return
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for host_id, (tick, pulse) in ticks.items():
                    pipe.set(tick_key(host_id), tick, ex=KEEP_TICK_S)
                    add_to(pipe, groups.host(host_id), tick, calm=True)
                    add_to(pipe, groups.PULSES, pulse, calm=True)
                await pipe.execute()
        except BaseException:
            self._ticks = ticks | self._ticks
            raise


def _add_message(to: Iterable[str], message: Message, pipe: Pipeline) -> None:
    text = encode(message)
    for group in to:
        add_to(pipe, group, text)


def _add_request(key: str, uuid: str, pipe: Pipeline) -> None:
    pipe.rpush(key, uuid)
    pipe.expire(key, KEEP_REQUEST_S)


def _add_screen(host_id: int, uuid: str, at: int, png: bytes, pipe: Pipeline) -> None:
    key = screen_key(uuid)
    pipe.hset(key, mapping={"at": at, "png": png})
    pipe.expire(key, KEEP_SCREEN_S)
    _add_message([groups.guest(uuid)], {"type": "screen", "uuid": uuid, "host": host_id, "at": at}, pipe)
