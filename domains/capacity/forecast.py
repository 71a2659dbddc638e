"""When something will be full: a straight trend and the rhythm of the week, with an honest range.

Values are of days. The model is  value = level of the weekday + slope × day + rest,  fitted by least squares. Removing
each weekday's mean from days and values first gives the same slope as eight unknowns at once would (Frisch and Waugh),
so plain sums are enough. Rests of neighbouring days are alike, which makes data look more certain than they are: the
uncertainty of level and slope is widened by (1 + r) / (1 − r), where r is the correlation of neighbouring rests
(corrected for the small sample, Marriott and Pope 1954). docs/capacity.md says it in full.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

Day = tuple[date, float]

LEAST_DAYS = 21
"""Three weeks, so that each weekday was seen three times."""
LEAST_PER_WEEKDAY = 2
REACH = 2
"""A forecast looks ahead so many times as far as it looks back."""
MOST_AHEAD_DAYS = 365
_UNKNOWNS = 8
_Z = 1.6449
"""Of the normal distribution, 5 % on each side: ranges hold in nine cases of ten."""
_MOST_ALIKE = 0.95


@dataclass(frozen=True, slots=True)
class Range:
    """Of one day in the future; in nine cases of ten the value is between `low` and `high`."""

    day: date
    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class Crossing:
    """The first day on which a limit may be reached, is most likely to be, and is almost certain to be."""

    soonest: date | None
    likely: date | None
    latest: date | None


@dataclass(frozen=True, slots=True)
class Trend:
    """What was learned from the days before."""

    first: date
    last: date
    slope: float
    """A day."""
    deviation: float
    """Of a single day from the model."""
    alike: float
    """Correlation of the rests of neighbouring days."""
    levels: Sequence[tuple[int, float, float]]
    """Of each weekday from Monday: how often it was seen, its mean day and value."""
    spread: float
    freedom: int

    @property
    def horizon(self) -> date:
        span = (self.last - self.first).days + 1
        return self.last + timedelta(days=min(REACH * span, MOST_AHEAD_DAYS))

    def at(self, day: date) -> Range:
        count, mean_day, mean_value = self.levels[day.weekday()]
        away = (day - self.first).days - mean_day
        value = mean_value + self.slope * away
        widened = (1 + self.alike) / (1 - self.alike)
        model = widened * (1 / count + (away * away / self.spread if self.spread else 0.0))
        half = _student(self.freedom) * self.deviation * math.sqrt(1 + model)
        return Range(day, value - half, value, value + half)

    def ahead(self) -> list[Range]:
        """From the day after the last one to the horizon."""
        days = (self.horizon - self.last).days
        return [self.at(self.last + timedelta(days=number + 1)) for number in range(days)]

    def crossing(self, limit: float) -> Crossing:
        ranges = self.ahead()
        return Crossing(
            soonest=next((each.day for each in ranges if each.high >= limit), None),
            likely=next((each.day for each in ranges if each.value >= limit), None),
            latest=next((each.day for each in ranges if each.low >= limit), None),
        )


def learn(days: Sequence[Day]) -> Trend | None:
    """From values of days in order, with gaps where nothing is known; None where they are too few to say anything."""
    if len(days) < LEAST_DAYS:
        return None
    first, last = days[0][0], days[-1][0]
    by_weekday: list[list[tuple[int, float]]] = [[] for _ in range(7)]
    for day, value in days:
        by_weekday[day.weekday()].append(((day - first).days, value))
    if min(map(len, by_weekday)) < LEAST_PER_WEEKDAY:
        return None
    levels = [
        (len(seen), math.fsum(at for at, _ in seen) / len(seen), math.fsum(value for _, value in seen) / len(seen))
        for seen in by_weekday
    ]
    spread, together = 0.0, 0.0
    for (_, mean_day, mean_value), seen in zip(levels, by_weekday, strict=True):
        spread += math.fsum((at - mean_day) ** 2 for at, _ in seen)
        together += math.fsum((at - mean_day) * (value - mean_value) for at, value in seen)
    slope = together / spread if spread else 0.0
    rests: dict[int, float] = {}
    for (_, mean_day, mean_value), seen in zip(levels, by_weekday, strict=True):
        rests |= {at: value - mean_value - slope * (at - mean_day) for at, value in seen}
    freedom = len(days) - _UNKNOWNS
    deviation = math.sqrt(math.fsum(rest * rest for rest in rests.values()) / freedom)
    return Trend(first, last, slope, deviation, _alike(rests), levels, spread, freedom)


def _alike(rests: dict[int, float]) -> float:
    """Correlation of neighbouring days, from 0 to 0.95."""
    total = math.fsum(rest * rest for rest in rests.values())
    if not total:
        return 0.0
    pairs = [(rest, rests[at + 1]) for at, rest in rests.items() if at + 1 in rests]
    if not pairs:
        return 0.0
    found = math.fsum(one * other for one, other in pairs) / total * len(rests) / len(pairs)
    corrected = found + (1 + 4 * found) / len(rests)
    return min(max(corrected, 0.0), _MOST_ALIKE)


def _student(freedom: int) -> float:
    """The 95th percentile of Student's distribution (Cornish and Fisher's expansion; right to 0.01 from 5 on)."""
    z = _Z
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
