"""How fast something grows, calm enough to be read."""

from __future__ import annotations

import time
from collections import deque

WINDOW_S = 5.0


class Rate:
    """The mean growth of a counter over the last few seconds."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, int]] = deque()

    def update(self, value: int, *, now: float | None = None) -> int | None:
        """Take a reading (`now` in seconds, monotonic). Returns the growth per second; None before there are two.

        A value smaller than the last one starts anew.
        """
        now = time.monotonic() if now is None else now
        if self._readings and value < self._readings[-1][1]:
            self._readings.clear()
        self._readings.append((now, value))
        while len(self._readings) > 2 and now - self._readings[0][0] > WINDOW_S:
            self._readings.popleft()
        (began, first), (ended, last) = self._readings[0], self._readings[-1]
        return round((last - first) / (ended - began)) if ended > began else None
