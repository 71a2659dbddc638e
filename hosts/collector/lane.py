"""The thread that libvirt may block: one per connection, one call at a time, given up when a call never returns.

libvirt calls cannot be cancelled. So whoever waits for one stops waiting after a deadline, and the thread is left
behind with its connection: when its call comes back after all, it cleans up and ends.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from hosts.collector.waiting import Deadlines
from vmdash.virt.errors import HostHung

log = logging.getLogger(__name__)

T = TypeVar("T")

STEP_S = 0.03
"""About how long one step of longer work may take: nothing urgent waits for more."""
_Call = tuple[Callable[[], Any], "asyncio.Future[Any]"]

_stuck: set[threading.Thread] = set()


def stuck_threads() -> int:
    """How many threads of this process were given up and have not come back."""
    _stuck.difference_update([thread for thread in _stuck if not thread.is_alive()])
    return len(_stuck)


class Lane:
    """Runs blocking calls for one host. Used from one asyncio loop; make a new one for each connection."""

    def __init__(self, name: str, deadline_s: float) -> None:
        self._name = name
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._busy = False
        self._deadlines = Deadlines(self._loop, deadline_s, self._give_up)
        self._thread = threading.Thread(target=self._work, name=f"lane-{name}", daemon=True)
        self._thread.start()

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """The result of `call(*arguments)`. Raises what it raises, and HostHung when that takes too long."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.put((partial(call, *arguments), future))
        self._deadlines.begin(future)
        try:
            return await future
        finally:
            self._deadlines.end(future)

    def _give_up(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            reason = f"a call got no answer within {self._deadline_s:g} s"
            future.set_exception(HostHung.because("use libvirt", self._name, reason=reason))

    async def some(self, reading: Iterator[T]) -> tuple[list[T], bool]:
        """What `reading` gives within about `STEP_S`, and whether that was all. So long work is done in short steps."""
        return await self.run(_some, reading)

    @property
    def is_busy(self) -> bool:
        """Whether its thread is still inside a call."""
        return self._busy

    async def finish(self, clean_up: Callable[[], object], *, patience_s: float | None = None) -> None:
        """End the thread after `clean_up`; when that takes longer than the deadline (or `patience_s`), leave it behind
        as stuck."""
        self._deadlines.close()
        future: asyncio.Future[object] = self._loop.create_future()
        self._calls.put((clean_up, future))
        self._calls.put(None)
        try:
            async with asyncio.timeout(patience_s or self._deadline_s):
                await future
        except TimeoutError:
            _stuck.add(self._thread)
        except Exception:  # what is left behind must not keep anybody from connecting anew
            log.exception("%s: the connection could not be closed in order", self._name)

    def _work(self) -> None:
        while entry := self._calls.get():
            call, future = entry
            self._busy = True
            try:
                result, error = call(), None
            except BaseException as raised:
                result, error = None, raised
            self._busy = False
            if not future.done():  # else nobody waits any more, and libvirt's objects are to go on this thread
                try:
                    self._loop.call_soon_threadsafe(_settle, future, result, error)
                except RuntimeError:
                    return  # the loop has ended, and the process with it
            del call, future, result, error, entry  # hold nothing while waiting for the next one


def _some(reading: Iterator[T]) -> tuple[list[T], bool]:
    read, end = [], time.monotonic() + STEP_S
    for one in reading:
        read.append(one)
        if time.monotonic() >= end:
            return read, False
    return read, True


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
