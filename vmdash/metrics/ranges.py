"""The spans of time that charts show, and how finely each is read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.conf import settings

from vmdash.exceptions import InvalidInput
from vmdash.metrics.coarse import EVERY_MS, PREFIX

HOUR_S, DAY_S = 3600, 86_400
MOST_S = 400 * DAY_S
LEAST_S = 60
_STEPS_S = (15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, DAY_S)
_MOST_POINTS = 370
_FINE_S = 2 * DAY_S
"""Up to here every reading is read, beyond that the coarse copy."""
_EDGE_S = 300
"""Charts end no longer ago than this, however coarse they are."""
_LATEST_S = 32_503_680_000
"""The year 3000: what is later was not meant as Unix seconds."""


@dataclass(frozen=True, slots=True)
class Span:
    """A choice on the page; `key` stands in its address."""

    key: str
    label: str
    seconds: int


SPANS = {
    span.key: span
    for span in (
        Span("hour", "Hour", HOUR_S),
        Span("day", "Day", DAY_S),
        Span("week", "Week", 7 * DAY_S),
        Span("month", "Month", 30 * DAY_S),
        Span("year", "Year", 365 * DAY_S),
    )
}


@dataclass(frozen=True, slots=True)
class Window:
    """A time grid. `key` is that of its span; empty for one that was chosen on the chart."""

    key: str
    start_s: int
    end_s: int
    step_s: int

    @property
    def grid(self) -> range:
        return range(self.start_s, self.end_s + 1, self.step_s)

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(self.start_s, UTC)

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.end_s + self.step_s, UTC)

    def after(self, at_s: int) -> Window:
        """The part of it that comes after a moment; at least its last point."""
        steps = max(0, (min(at_s, self.end_s) - self.start_s) // self.step_s + 1)
        return replace(self, start_s=min(self.start_s + steps * self.step_s, self.end_s))

    @property
    def is_live(self) -> bool:
        """It ends now, and new points come at its end."""
        return self.key == "hour"

    @property
    def is_fine(self) -> bool:
        return self.end_s - self.start_s <= _FINE_S

    @property
    def finest(self) -> Window:
        """The same time in the smallest steps worth reading: what is rare is lost in the means of long ones."""
        if self.is_fine:
            step = 15 if self.end_s - self.start_s <= 2 * HOUR_S else 60
        else:
            step = EVERY_MS // 1000 if self.end_s - self.start_s <= 40 * DAY_S else HOUR_S
        return replace(self, step_s=min(step, self.step_s))

    @property
    def prefix(self) -> str:
        """What the names of the series to read begin with."""
        return "" if self.is_fine else PREFIX

    @property
    def over(self) -> str:
        """What each point sums up, in PromQL: the step, or some readings. A longer gap stays a gap."""
        return f"{self.over_s}s"

    @property
    def over_s(self) -> int:
        several = some_readings_s()
        return max(self.step_s, several if self.is_fine else max(several, 2 * EVERY_MS // 1000))


def some_readings_s() -> int:
    """How long some readings take together: a figure is made of those of so many seconds, and of no older ones."""
    return max(60, 4 * settings.SLOW_INTERVAL_S)


def window_of(asked: Mapping[str, str]) -> Window:
    """What an address asks for: `range` (a key of `SPANS`), or `from` and `to` in Unix seconds. Without: the hour.

    Raises:
        InvalidInput: it makes no sense.
    """
    if "from" in asked or "to" in asked:
        start, end = _seconds(asked.get("from", "")), _seconds(asked.get("to", ""))
        if not LEAST_S <= end - start <= MOST_S:
            raise InvalidInput("This is no span of time.", hint="Choose one from a minute to 400 days.")
        return _window("", start, end)
    span = SPANS.get(asked.get("range", "hour"))
    if span is None:
        raise InvalidInput("There is no such range.", hint=f"Choose one of {', '.join(SPANS)}.")
    now = int(time.time())
    return _window(span.key, now - span.seconds, now)


def _window(key: str, start: int, end: int) -> Window:
    step = next((step for step in _STEPS_S if (end - start) / step <= _MOST_POINTS), DAY_S)
    newest = end // min(step, _EDGE_S) * min(step, _EDGE_S)
    return Window(key, newest - (end - start) // step * step, newest, step)


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:12]) <= _LATEST_S and len(text) <= 12):
        raise InvalidInput("This is no time.", hint="Write it in Unix seconds.")
    return int(text)
