"""Whether a migration gets anywhere, and if not, why, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

from vmdash import formats
from vmdash.virt.migration_types import MigrationProgress

PATIENCE_S = 12
"""So long may the least that was ever left stay the least before the page says that it stalls."""
GAIN = 0.98
"""Less than two percent less is no progress."""


class StallWatch:
    """Remembers the least that was left, and since when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._least: int | None = None
        self._since = clock()

    def look(self, told: MigrationProgress) -> str:
        """Why it does not get on, in sentences; empty while it does.

        What is left grows and shrinks with each round, so only the least of all rounds counts.
        """
        left, now = told.remaining_bytes, self._clock()
        if self._least is None or left < self._least * GAIN:
            self._least, self._since = left, now
            return ""
        if now - self._since < PATIENCE_S or told.in_post_copy:
            return ""
        return _why(told, now - self._since)


def _why(told: MigrationProgress, seconds: float) -> str:
    dirty, rate = told.dirty_bytes_per_s or 0, told.rate_bytes_per_s or 0
    if not rate:
        return f"Nothing has been sent for {seconds:.0f} s: look at the network between the hosts."
    if dirty >= rate:
        return (
            f"The guest writes {formats.per_second(dirty)} of memory, and {formats.per_second(rate)} go over: "
            "each round leaves as much as the one before. It will not end by itself."
        )
    if told.downtime_ms:
        return (
            f"The rest would take {formats.brief(told.downtime_ms)}, longer than the guest may stand still: "
            "another round follows, and another."
        )
    return (
        f"What is left has not become less for {seconds:.0f} s: the guest writes {formats.per_second(dirty)} of memory."
    )
