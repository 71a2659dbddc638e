"""The counters of many guests in one answer, computed for all of them at once.

They are most of what simulated hosts say, and the simulator is to take little of the machine that is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bench.simulator.guests import Record, effective_seconds
from bench.simulator.wire import integer


class Row(NamedTuple):
    """One guest: its remote_nonnull_domain, its record as bytes with its names in it (as long as the record's own), and
    when its counters were at zero (monotonic)."""

    domain: bytes
    body: bytes
    record: Record
    began: float


class Sheet:
    """An array of remote_domain_stats_record. XDR fills all up to four bytes, so a counter is two words of it."""

    def __init__(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        body = bytearray(integer(len(rows)))
        high: list[int] = []
        for row in rows:
            body += row.domain
            high += [(len(body) + place) // 4 for place in row.record.places]
            body += row.body
        self._words = np.frombuffer(body, dtype=">u4").copy()
        self._high = np.array(high, dtype=np.int32)
        self._starts = np.array([start for row in rows for start in row.record.starts], dtype=np.int64)
        self._rates = np.array([rate for row in rows for rate in row.record.rates])
        self._began = np.array([row.began for row in rows])
        self._counters = [len(row.record.rates) for row in rows]

    def now(self) -> bytes:
        """With the counters as they are by now."""
        seconds = np.repeat(effective_seconds(time.monotonic() - self._began), self._counters)
        counters = self._starts + (self._rates * seconds).astype(np.int64)
        self._words[self._high] = counters >> 32
        self._words[self._high + 1] = counters & 0xFFFFFFFF
        return self._words.tobytes()
