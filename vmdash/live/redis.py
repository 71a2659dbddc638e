"""Clients for the one Redis, and the names of the keys in it."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from django.conf import settings

if TYPE_CHECKING:
    from uuid import UUID

PREFIX = "vmdash"


@lru_cache
def client() -> redis.Redis:
    """The client of this process, for synchronous code. Bytes in, bytes out; 2 s time limits."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30
    )


def async_client() -> redis.asyncio.Redis:
    """A new client for the running loop. The caller closes it (`await client.aclose()`)."""
    pool = redis.asyncio.ConnectionPool.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5)
    pool.connection_class = _cancellable(pool.connection_class)
    return redis.asyncio.Redis.from_pool(pool)


def _cancellable(connection_class: type[Any]) -> type[Any]:
    """The library sends with `asyncio.wait_for`, which in Python 3.11 loses a cancellation that comes just when all is
    sent: a task that was told to end would go on for ever. Here it is raised after all."""

    class Cancellable(connection_class):  # type: ignore[misc]
        async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
            task = asyncio.current_task()
            before = task.cancelling() if task else 0
            await super().send_packed_command(*arguments, **options)
            if task and task.cancelling() > before:
                await self.disconnect(nowait=True)  # nobody will read the answer
                raise asyncio.CancelledError

    return Cancellable


def tick_key(host_id: int) -> str:
    """The newest `Tick` of a host, as JSON."""
    return f"{PREFIX}:tick:{host_id}"


def screen_key(uuid: UUID | str) -> str:
    """A hash `{at, png}`: the last picture of a guest's screen."""
    return f"{PREFIX}:screen:{uuid}"


def watched_key(uuid: UUID | str) -> str:
    """Exists (with a time limit) while somebody looks at the guest's page: pictures are wanted."""
    return f"{PREFIX}:watched:{uuid}"


def watched_host_key(host_id: int | str) -> str:
    """Exists (with a time limit) while somebody looks at the host's page: what it shows is to be fresh."""
    return f"{PREFIX}:watched-host:{host_id}"


ALL_WATCHED = f"{PREFIX}:watched*"
"""Matches both."""


def lease_key(host_id: int) -> str:
    """Which collector holds a host."""
    return f"{PREFIX}:lease:{host_id}"


def refresh_key(host_id: int) -> str:
    """A list of what the collector of this host shall read again at once: UUIDs of guests; `*`, which is everything;
    `storage`, which is all pools; `storage:UUID`, which is one pool."""
    return f"{PREFIX}:refresh:{host_id}"


STORAGE = "storage"
"""What marks a refresh request that is about storage pools."""


HISTORY_HELD = f"{PREFIX}:history-held"
"""A hash: by collector, what of the history waits since its store is away (`vmdash.metrics.trouble`)."""

HOSTS_CHANGED = f"{PREFIX}:hosts-changed"
"""A pub/sub channel: the inventory of hosts changed, collectors look again."""
