"""How many lanes work at once.

A collector has thousands of them, but Python runs one thread at a time: those that all want to go on cost more than
what they do. So they take turns. Most of a call is waiting for the host, hence there are more turns than CPUs; and a
call that takes long is a slow host's, or a hung one's, and takes nobody's turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary

MOST = 32
LONG_S = 0.2

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


class Turns:
    """Used on one event loop's thread; the longest waiting is next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST) -> None:
        self._loop = loop
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    @classmethod
    def of_this_loop(cls) -> Turns:
        """Those that all lanes of a process share."""
        loop = asyncio.get_running_loop()
        return _of_loop.get(loop) or _of_loop.setdefault(loop, cls(loop))

    async def take(self) -> Turn:
        """Wait for a turn, which is to be ended."""
        if self._free > 0:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        return Turn(self._loop, self)

    def _pass_on(self) -> None:
        while self._waiting:
            following = self._waiting.popleft()
            if not following.done():
                following.set_result(None)
                return
        self._free += 1


class Turn:
    __slots__ = ("_ended", "_timer", "_turns")

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._turns = turns
        self._ended = False
        self._timer = loop.call_later(LONG_S, self.end)

    def end(self) -> None:
        """The call has returned, or takes too long. A second time does nothing."""
        if not self._ended:
            self._ended = True
            self._timer.cancel()
            self._turns._pass_on()
