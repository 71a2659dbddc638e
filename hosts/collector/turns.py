"""Whose turn it is to have the collector work for it.

A call to a host is work for this process, too: its answer becomes Python objects. Were hundreds of hosts served at
once, their threads would spend their time waiting for each other's interpreter, and nobody would be served: so a
limited number has a turn at a time, for one step each, in the order in which they asked. `FIGURES` is wide, since
most of a turn there is the time that the host takes to answer; `REST`, what can wait, is narrow: reading everything
of a host anew is nearly all our work, and when a collector starts, all hosts have that before them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from weakref import WeakKeyDictionary

from hosts.collector.waiting import Deadlines

LONG_S = 0.5
"""A step that takes longer is a slow host's, or a hung one's, and no work for us: it keeps nobody waiting. Nor does one
who does not use the turn."""


class Kind(Enum):
    FIGURES = 16
    REST = 4


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Kind, Turns]] = WeakKeyDictionary()


class Turns:
    """Used on one event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._free = most
        self._waiting: deque[Turn] = deque()
        self._had: Deadlines[Turn] = Deadlines(loop, LONG_S, Turn.end)

    @classmethod
    def of_this_loop(cls, kind: Kind) -> Turns:
        """Those that all hosts of a process share."""
        loop = asyncio.get_running_loop()
        kinds = _of_loop.setdefault(loop, {})
        return kinds.get(kind) or kinds.setdefault(kind, cls(loop, kind.value))

    def ask(self, tell: Callable[[], object]) -> Turn:
        """A turn, which is to be ended, had or not. When it does not come at once, `tell` is called when it does."""
        turn = Turn(self, tell)
        if self._free:
            self._begin(turn)
        else:
            self._waiting.append(turn)
        return turn

    async def wait(self) -> Turn:
        """A turn, as soon as there is one."""
        has_come = asyncio.Event()
        turn = self.ask(has_come.set)
        try:
            if not turn.has_come:
                await has_come.wait()
        except BaseException:
            turn.end()
            raise
        return turn

    def give_back(self, turn: Turn) -> None:
        self._had.end(turn)
        self._free += 1
        while self._free and self._waiting:
            following = self._waiting.popleft()
            if not following.has_ended:
                self._begin(following)
                following.tell()

    def _begin(self, turn: Turn) -> None:
        self._free -= 1
        self._had.begin(turn)
        turn.has_come = True


class Turn:
    """`with turn:` ends it."""

    __slots__ = ("_turns", "has_come", "has_ended", "tell")

    def __init__(self, turns: Turns, tell: Callable[[], object]) -> None:
        self._turns = turns
        self.tell = tell
        self.has_come = False
        self.has_ended = False

    def end(self) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        if self.has_come:
            self._turns.give_back(self)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self.end()
