"""Whose turn it is to do what can wait.

Reading everything of a host anew is work for this process more than for the host. When a collector starts, all its
hosts have that before them; done at once, hundreds of threads would wait for each other's interpreter, and states and
figures with them. So a few hosts at a time have a turn, for one step each.
"""

from __future__ import annotations

import asyncio
import random
from weakref import WeakKeyDictionary

MOST = 4
LONG_S = 0.5
"""A step that takes longer is a slow host's, or a hung one's, and no work for us: it keeps nobody waiting."""
_LOOK_S = 0.3
"""About how often one who waits looks whether there is a turn; nothing tells."""

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


class Turns:
    """Used on one event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST) -> None:
        self._loop = loop
        self._free = most

    @classmethod
    def of_this_loop(cls) -> Turns:
        """Those that all hosts of a process share."""
        loop = asyncio.get_running_loop()
        return _of_loop.get(loop) or _of_loop.setdefault(loop, cls(loop))

    def take(self) -> Turn | None:
        """A turn, which is to be ended; None while others have them all: try again after `pause_s`."""
        if not self._free:
            return None
        self._free -= 1
        return Turn(self, self._loop)

    async def wait(self) -> Turn:
        """A turn, as soon as there is one."""
        while (turn := self.take()) is None:
            await asyncio.sleep(self.pause_s())
        return turn

    @staticmethod
    def pause_s() -> float:
        return _LOOK_S * random.uniform(0.5, 1.5)  # noqa: S311

    def give_back(self) -> None:
        self._free += 1


class Turn:
    """`with turn:` ends it."""

    __slots__ = ("_ended", "_timer", "_turns")

    def __init__(self, turns: Turns, loop: asyncio.AbstractEventLoop) -> None:
        self._turns = turns
        self._ended = False
        self._timer = loop.call_later(LONG_S, self._end)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._timer.cancel()
            self._turns.give_back()
