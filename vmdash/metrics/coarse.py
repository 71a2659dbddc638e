"""A copy of one reading in ten minutes, for charts of weeks, months and years.

The same rows again, under names that begin with `coarse:` (colons mark what was derived, as in recording rules). A year
of a guest is 52,560 points of each counter instead of three million. Counters lose nothing by it: their rate over an
hour needs the readings at both ends alone.
"""

from __future__ import annotations

import zlib

PREFIX = "coarse:"
EVERY_MS = 600_000


class Coarse:
    """Remembers who was copied when. For any thread, as long as each thing has one thread at a time."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}

    def with_copy(self, what: str, at_ms: int, rows: str) -> str:
        """The rows, and their copy when the time has come for `what`: not for all at the same moment."""
        slot = (at_ms + zlib.crc32(what.encode()) % EVERY_MS) // EVERY_MS
        if self._slots.get(what) == slot or not rows:
            return rows
        self._slots[what] = slot
        return rows + PREFIX + rows[:-1].replace("\n", f"\n{PREFIX}") + "\n"
