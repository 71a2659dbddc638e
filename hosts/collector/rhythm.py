"""When something is due again: at a steady pace, slower by itself when it takes too long."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Rhythm:
    """`interval_s` is `wanted_s`, or twice as long as a round takes when that is more.

    `stretch` tells how many times longer it is while there is much else to do.
    """

    def __init__(self, what: str, wanted_s: float, stretch: Callable[[], float] = lambda: 1.0) -> None:
        self._what = what
        self._wanted_s = wanted_s
        self._stretch = stretch
        self.interval_s = wanted_s
        self.due = time.monotonic()
        self._first = True
        self._slowed = False

    @contextmanager
    def round(self) -> Iterator[None]:
        """One whole round; also one that fails is followed by a pause."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.done(time.monotonic() - began)

    def done(self, took_s: float) -> None:
        """A round ended that kept the host busy for `took_s`."""
        wanted_s = self._wanted_s * self._stretch()
        interval_s = max(wanted_s, 2 * took_s)
        if (interval_s > wanted_s) != self._slowed:
            self._slowed = not self._slowed
            log.info("%s: every %.3g s (a round takes %.2g s)", self._what, interval_s, took_s)
        self.interval_s = interval_s
        now = time.monotonic()
        if self._first:  # from here on each host has its own phase, so that they do not all come at once
            self._first = False
            self.due = now + random.uniform(0.5, 1) * interval_s  # noqa: S311
        else:
            self.due = max(self.due + interval_s, now + interval_s / 2)

    def hurry(self) -> bool:
        """The interval is shorter than when the last round was done: let the next one come as if it had been so then.
        Whether it comes earlier."""
        due = self.due - self.interval_s + self._wanted_s * self._stretch()
        if due >= self.due:
            return False
        self.due = due
        return True

    def now(self) -> None:
        """Make it due."""
        self.due = time.monotonic()
