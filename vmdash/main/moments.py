"""The moment that the fleet is shown at, and the slider that leads to others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.conf import settings
from django.utils import timezone

from domains.timeline.moments import kept_since, not_to_come
from vmdash.exceptions import InvalidInput
from vmdash.metrics.ranges import DAY_S, HOUR_S, SPANS, Span

_STEPS_S = {"hour": 15, "day": 300, "week": 1800, "month": 7200, "year": DAY_S // 2}
_JUMPS = (("−1 d", -DAY_S), ("−1 h", -HOUR_S), ("−5 min", -300), ("+5 min", 300), ("+1 h", HOUR_S), ("+1 d", DAY_S))
_LONGEST = 19
"""2026-11-26T19:30:00"""


@dataclass(frozen=True, slots=True)
class Jump:
    label: str
    query: str
    """Empty where nothing is kept, or that is still to come."""


@dataclass(frozen=True, slots=True)
class Slider:
    """The times that can be looked at. Moments are Unix seconds; `at` is None for now."""

    at: int | None
    now: int
    kept_since: int | None
    """None: nothing has been recorded yet."""
    span: Span
    site: str

    @property
    def value(self) -> int:
        return self.now if self.at is None else self.at

    @property
    def step(self) -> int:
        return _STEPS_S[self.span.key]

    @property
    def most(self) -> int:
        """Now, or later than the moment by half a span: one step ends at it in any case."""
        if self.value >= self.now - self.span.seconds:
            return self.now
        return min(self.now, self.value + self.span.seconds // 2)

    @property
    def least(self) -> int:
        """It lies whole steps before the moment, so that the slider stands where it is."""
        begin = max(self.most - self.span.seconds, min(self.kept_since or self.now, self.value))
        return self.value - max(0, self.value - begin) // self.step * self.step

    @property
    def begin(self) -> datetime:
        return datetime.fromtimestamp(self.least, UTC)

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.most, UTC)

    @property
    def since(self) -> datetime | None:
        return None if self.kept_since is None else datetime.fromtimestamp(self.kept_since, UTC)

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.value, UTC)

    @property
    def zone(self) -> str:
        return timezone.localtime(self.moment).tzname() or settings.TIME_ZONE

    @property
    def field(self) -> str:
        """As the field for a time has it."""
        return timezone.localtime(self.moment).strftime("%Y-%m-%dT%H:%M:%S")

    @property
    def spans(self) -> list[tuple[Span, str]]:
        """Each with its address."""
        return [(span, self._query(self.value, span)) for span in SPANS.values()]

    @property
    def jumps(self) -> list[Jump]:
        least = self.kept_since if self.kept_since is not None else self.now
        return [
            Jump(label, self._query(to, None) if least <= (to := self.value + seconds) < self.now else "")
            for label, seconds in _JUMPS
        ]

    @property
    def kept(self) -> str:
        """What all addresses of the slider have in common, as the beginning of a query."""
        return self._common(self.span) + "&"

    def _query(self, at: int, span: Span | None) -> str:
        return self._common(span or self.span) + f"&at={at}"

    def _common(self, span: Span) -> str:
        return urlencode(({"site": self.site} if self.site else {}) | {"over": span.key})


def slider_of(asked: Mapping[str, str], *, site: str) -> Slider:
    """By `at` (Unix seconds, or a local time as a field for times writes it) and `over` (a key of `SPANS`).

    Raises:
        InvalidInput: that is no time, or it is still to come.
    """
    now = int(time.time())
    at = not_to_come(_parsed(asked["at"].strip()), now) if "at" in asked else None
    key = asked.get("over") or _shortest(now - (now if at is None else at))
    if key not in SPANS:
        raise InvalidInput("There is no such range.", hint=f"Choose one of {', '.join(SPANS)}.")
    return Slider(at, now, kept_since(now), SPANS[key], site)


def _shortest(ago_s: int) -> str:
    """The shortest range in which the moment is, but a day for now."""
    return next((key for key, span in SPANS.items() if 0 < ago_s <= span.seconds), "year" if ago_s > 0 else "day")


def _parsed(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return int(text)
    try:
        if len(text) > _LONGEST:
            raise ValueError
        return int(timezone.make_aware(datetime.fromisoformat(text)).timestamp())
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            "This is no time.", hint="Write it in Unix seconds, or as year-month-dayThour:minute."
        ) from error
