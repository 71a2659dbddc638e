"""Whose pages are open: more is read of these."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import redis.asyncio

from vmdash.live.redis import ALL_WATCHED, watched_host_key, watched_key

_GUEST, _HOST = watched_key(""), watched_host_key("")


@dataclass(frozen=True, slots=True)
class Viewed:
    guests: Set[str]
    hosts: Set[int]


async def read_viewed(client: redis.asyncio.Redis) -> Viewed:
    """The guests and hosts whose pages are open, anywhere in the fleet. Raises RedisError."""
    keys = [key.decode() async for key in client.scan_iter(match=ALL_WATCHED, count=1000)]
    return Viewed(
        {key.removeprefix(_GUEST) for key in keys if key.startswith(_GUEST)},
        {int(key.removeprefix(_HOST)) for key in keys if key.startswith(_HOST)},
    )
