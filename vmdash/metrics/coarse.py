"""A copy of one reading in ten minutes, for charts of weeks, months and years.

The same rows again, under names that begin with `coarse:` (colons mark what was derived, as in recording rules). A year
of a guest is 52,560 points of each counter instead of three million. Counters lose nothing by it: their rate over an
hour needs the readings at both ends alone.
"""

from __future__ import annotations

import zlib

PREFIX = "coarse:"
EVERY_MS = 600_000


class Seldom:
    """Whether the time has come again for a thing, once in `every_ms`: not for all at the same moment. For any thread,
    as long as each thing has one thread at a time."""

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._due_ms: dict[str, int] = {}

    def has_come(self, what: str, at_ms: int) -> bool:
        """Also when nobody has asked for that thing before."""
        due_ms = self._due_ms.get(what)
        if due_ms is not None and due_ms - self._every_ms <= at_ms < due_ms:  # else the clock was set back, too
            return False
        phase = zlib.crc32(what.encode()) % self._every_ms
        self._due_ms[what] = ((at_ms + phase) // self._every_ms + 1) * self._every_ms - phase
        return True


class Coarse:
    """Remembers who was copied when. For any thread, as long as each thing has one thread at a time."""

    def __init__(self) -> None:
        self._time = Seldom(EVERY_MS)

    def with_copy(self, what: str, at_ms: int, rows: str) -> str:
        """The rows, and their copy when the time has come for `what`."""
        if not rows or not self._time.has_come(what, at_ms):
            return rows
        return rows + PREFIX + rows[:-1].replace("\n", f"\n{PREFIX}") + "\n"
