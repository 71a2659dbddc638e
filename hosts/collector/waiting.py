"""Waiting with an end to it, made for thousands of waits a second: as few timers as can be."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


async def wait(event: asyncio.Event, until: float) -> None:
    """Until the event is set; at that time (monotonic; infinity: never) it is set if nobody else has done so."""
    timer = asyncio.get_running_loop().call_at(until, event.set) if until < math.inf else None
    try:
        await event.wait()
    finally:
        if timer:
            timer.cancel()


class Deadlines(Generic[T]):
    """Things that may take so long each. `expire` is called with one that takes longer, which is over then. Used on one
    event loop's thread.

    All have one timer, which looks at the oldest: most end in time, and a timer for each would cost as much as the rest
    of it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, expire: Callable[[T], object]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expire = expire
        self._due: dict[T, float] = {}
        """In the order in which they began."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, one: T) -> None:
        due = self._due[one] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._look)

    def end(self, one: T) -> None:
        """Also of one that is over."""
        self._due.pop(one, None)

    def close(self) -> None:
        """Nothing expires any more."""
        self._due.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        while self._due:
            one, due = next(iter(self._due.items()))
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self._look)
                return
            del self._due[one]
            self._expire(one)
