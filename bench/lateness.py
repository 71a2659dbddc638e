"""How late a collector's rounds are, as browsers would see it: from the pulses in the fleet's Channels group."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
from channels.layers import get_channel_layer

from vmdash.live import groups

if TYPE_CHECKING:
    from channels.layers import BaseChannelLayer


class Pulses:
    """Notes when each host's pulses arrive (monotonic), in a thread of its own."""

    def __init__(self) -> None:
        self.arrivals: dict[int, list[float]] = {}
        self.interval_ms: dict[int, int] = {}
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="pulses", daemon=True)
        self._thread.start()
        self._listening.wait()

    def stop(self) -> None:
        """Before Redis ends."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listening = asyncio.create_task(self._listen())
        await self._stop.wait()
        listening.cancel()
        await asyncio.wait([listening])

    async def _listen(self) -> None:
        layer: BaseChannelLayer | None = get_channel_layer()
        assert layer
        channel = await layer.new_channel()
        await layer.group_add(groups.PULSES, channel)
        self._listening.set()
        while True:
            message = orjson.loads((await layer.receive(channel))["text"])
            if message["type"] == "pulse":
                self.arrivals.setdefault(message["host"], []).append(time.monotonic())
                self.interval_ms[message["host"]] = message["interval_ms"]

    def lateness_s(self, hosts: Collection[int], begin: float, end: float, interval_s: float) -> Mapping[int, float]:
        """By how much each host's pulses were further apart than `interval_s`, at most, between two moments.

        The last one before `begin` counts, and that none may have come until `end`.
        """
        return {host: _lateness_s(self.arrivals.get(host, []), begin, end, interval_s) for host in hosts}


def _lateness_s(arrivals: list[float], begin: float, end: float, interval_s: float) -> float:
    before = max((at for at in arrivals if at < begin), default=-math.inf)
    moments = [before, *(at for at in arrivals if begin <= at <= end), end]
    return max(after - earlier for earlier, after in pairwise(moments)) - interval_s
