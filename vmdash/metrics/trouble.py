"""What pages say about history that has not reached its store: each collector tells Redis, pages read it there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson
import redis
import redis.asyncio
from django.utils import timezone

from vmdash.live.redis import HISTORY_HELD, client
from vmdash.metrics.writer import Held

log = logging.getLogger(__name__)

TELL_S = 5
OLD_S = 30
"""A collector that has said nothing for so long is no more; its successor finds what it left."""


@dataclass(frozen=True, slots=True)
class HistoryTrouble:
    """Of all collectors together."""

    away: bool
    since: datetime
    size: int
    """Bytes that wait on disk."""
    dropped: int
    """Bytes that were lost."""

    @property
    def of_charts(self) -> str:
        """What that means for charts, in a sentence or two."""
        lost = " Some of it is lost." if self.dropped else ""
        return f"What was measured since {_clock(self.since)} is not all here yet: it waits on disk.{lost}"


def _clock(at: datetime) -> str:
    local = timezone.localtime(at)
    return f"{local:%H:%M}" if local.date() == timezone.localdate() else f"{local:%-d %b %H:%M}"


async def tell(to: redis.asyncio.Redis, collector: str, held: Held) -> None:
    """Raises RedisError."""
    if held.since is None and not held.away and not held.dropped:
        await to.hdel(HISTORY_HELD, collector)
    else:
        await to.hset(HISTORY_HELD, collector, orjson.dumps({"at": time.time(), **asdict(held)}).decode())


def history_trouble() -> HistoryTrouble | None:
    """None while all history reaches the store (or nobody can tell). One round trip."""
    try:
        found = client().hgetall(HISTORY_HELD)
    except redis.RedisError as error:
        log.warning("The live cache cannot be read: %s", error)
        return None
    return _together(orjson.loads(text) for text in found.values())


def _together(told: Iterable[dict[str, float]]) -> HistoryTrouble | None:
    recent = [one for one in told if time.time() - one["at"] < OLD_S]
    if not recent:
        return None
    return HistoryTrouble(
        away=any(one["away"] for one in recent),
        since=datetime.fromtimestamp(min(one["since"] or one["at"] for one in recent), UTC),
        size=int(sum(one["size"] for one in recent)),
        dropped=int(sum(one["dropped"] for one in recent)),
    )
