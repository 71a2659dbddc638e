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
        self._loop = loop
        self._free = most
        self._waiting: deque[Turn] = deque()
        self._begun: dict[Turn, float] = {}
        """Those that are had, with the time when each becomes a long one, in its order."""
        self._watch: asyncio.TimerHandle | None = None
        """Set while anybody waits."""

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
            if self._watch is None:
                self._end_long_ones()
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
        del self._begun[turn]
        self._free += 1
        while self._free and self._waiting:
            following = self._waiting.popleft()
            if not following.has_ended:
                self._begin(following)
                following.tell()

    def _begin(self, turn: Turn) -> None:
        self._free -= 1
        self._begun[turn] = self._loop.time() + LONG_S
        turn.has_come = True

    def _end_long_ones(self) -> None:
        """While anybody waits."""
        self._watch = None
        while self._waiting and self._begun:
            turn, long_at = next(iter(self._begun.items()))
            if long_at > self._loop.time():
                self._watch = self._loop.call_at(long_at, self._end_long_ones)
                return
            turn.end()


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
