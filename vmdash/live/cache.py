"""The live cache: the newest figures of every host, in Redis, written by the collector.

Pages read it; when Redis is away they show the inventory without figures, never an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

import orjson
import redis

from vmdash.live.messages import Tick
from vmdash.live.redis import client, screen_key, tick_key

log = logging.getLogger(__name__)

_decoded: dict[int, tuple[bytes, Tick]] = {}
"""Each host's last tick as read and decoded by this process: decoding the same bytes again is saved."""


def ticks(host_ids: Iterable[int]) -> dict[int, Tick]:
    """The newest tick of each host that has one, by host id. One round trip. Do not change what it returns."""
    return {host_id: _decode(host_id, text) for host_id, text in _read(host_ids).items()}


def encoded_ticks(host_ids: Iterable[int]) -> list[str]:
    """The same as JSON texts."""
    return [text.decode() for text in _read(host_ids).values()]


def _read(host_ids: Iterable[int]) -> dict[int, bytes]:
    ids = list(host_ids)
    if not ids:
        return {}
    try:
        found = client().mget([tick_key(host_id) for host_id in ids])
    except redis.RedisError as error:
        log.warning("The live cache cannot be read: %s", error)
        return {}
    return {host_id: text for host_id, text in zip(ids, found, strict=True) if isinstance(text, bytes)}


def _decode(host_id: int, text: bytes) -> Tick:
    before = _decoded.get(host_id)
    if before and before[0] == text:
        return before[1]
    tick: Tick = orjson.loads(text)
    _decoded[host_id] = (text, tick)
    return tick


def screen_taken_at(uuid: UUID | str) -> int | None:
    """When the last picture of a guest's screen was taken, in Unix milliseconds; None without one."""
    try:
        at = client().hget(screen_key(uuid), "at")
    except redis.RedisError as error:
        log.warning("The live cache cannot be read: %s", error)
        return None
    return int(at) if at else None
