"""The days of a resource and its forecast as the parts of a drawing: coordinates for SVG, drawn by the server.

So it is there without JavaScript, on paper and in every theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domains.capacity.forecast import Day, learn
from domains.capacity.models import SHARES, Outlook, Resource
from domains.capacity.outlooks import days_of
from domains.capacity.words import amount, course, cpus, day, foresight

WIDTH, HEIGHT = 520, 190
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 14, 24
_TICKS = 4
_MOST_DATES = 6
_LONG = 300
"""From so many days on, dates are told with their year."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A label of an axis, and where."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    sentence: str
    description: str
    lines: list[str]
    """The days that are known, as SVG points; a new one after each gap."""
    dots: list[tuple[float, float]]
    """Days without neighbours, which a line would not show."""
    forecast: str
    range: str
    """A closed area, in nine cases of ten the value lies in it."""
    limit: float | None
    limit_words: str
    today: float
    values: list[Mark]
    dates: list[Mark]
    legend: str
    """What the line shows of each day."""
    look: str
    """What it is about, for its color."""
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def limit_text(self) -> float:
        """Above the line that it is about, or below it where that would leave the drawing."""
        at = self.limit or 0.0
        return at - 4 if at > self.top + 8 else at + 12


def chart_of(outlook: Outlook) -> Chart | None:
    """None without a single day."""
    days = days_of(outlook)
    return chart(outlook, days) if days else None


def chart(outlook: Outlook, days: Sequence[Day], axis: tuple[date, date] | None = None) -> Chart:
    """`axis`: from when to when; otherwise from the first day that is known as far as it is foreseen."""
    trend = learn(days) if outlook.horizon else None
    ahead = trend.ahead() if trend else []
    first, last = axis or (days[0][0], ahead[-1].day if ahead else days[-1][0])
    span = max(1, (last - first).days)
    top = max([outlook.limit, *(value for _, value in days), *(one.value for one in ahead)]) or 1.0
    step = nice_step(top * 1.05 / _TICKS, binary=outlook.resource not in (Resource.CPU, *SHARES))
    ceiling = step * math.ceil(top * 1.02 / step)

    def x(when: date) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (when - first).days / span, 1)

    def y(value: float) -> float:
        share = min(max(value / ceiling, 0.0), 1.0)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)

    runs = _runs(days)
    high = [f"{x(one.day)},{y(one.high)}" for one in ahead]
    low = [f"{x(one.day)},{y(one.low)}" for one in reversed(ahead)]
    peak = max(days, key=lambda one: one[1])
    is_share = outlook.resource in SHARES
    legend = "mean of each day" if is_share else "busiest hour of each day"
    return Chart(
        title=f"{outlook.get_resource_display()}{', CPUs' if outlook.resource == Resource.CPU else ''}",
        sentence=course(outlook) if is_share else foresight(outlook),
        description=(
            f"{outlook.get_resource_display()}: the {legend} from {day(days[0][0])} to {day(days[-1][0])}, "
            f"at most {amount(outlook.resource, peak[1])} on {day(peak[0])}"
            f"{'' if is_share else f'; full at {amount(outlook.resource, outlook.limit)}'}."
        ),
        lines=[" ".join(f"{x(when)},{y(value)}" for when, value in run) for run in runs if len(run) > 1],
        dots=[(x(run[0][0]), y(run[0][1])) for run in runs if len(run) == 1],
        forecast=" ".join(f"{x(one.day)},{y(one.value)}" for one in ahead),
        range=" ".join(high + low),
        limit=y(outlook.limit) if outlook.limit else None,
        limit_words=f"full: {amount(outlook.resource, outlook.limit)}",
        today=x(days[-1][0]),
        values=[Mark(y(step * one), _value(outlook.resource, step * one)) for one in range(_marks(ceiling, step))],
        dates=[Mark(x(when), _date(when, span)) for when in _dates(first, last)],
        legend=legend,
        look=outlook.resource,
    )  # fmt: skip


def _value(resource: str, value: float) -> str:
    """The unit of CPUs is in the title, since large numbers leave no room for it."""
    if resource == Resource.LOST:
        return f"{100 * value:.3g} %"
    if resource == Resource.OVERCOMMIT:
        return f"{value:.3g}"
    return cpus(value) if resource == Resource.CPU else amount(resource, value)


def _date(when: date, span: int) -> str:
    return f"{when:%b %Y}" if span > _LONG else f"{when.day} {when:%b}"


def _marks(ceiling: float, step: float) -> int:
    return round(ceiling / step) + 1


def nice_step(value: float, *, binary: bool) -> float:
    """The next 1, 2 or 5 times a power of ten; of bytes the next power of two."""
    if value <= 0:
        return 1.0
    if binary:
        return 2.0 ** math.ceil(math.log2(value))
    power = 10.0 ** math.floor(math.log10(value))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= value), 10 * power)


def _runs(days: Sequence[Day]) -> list[list[Day]]:
    """Days that follow each other."""
    runs: list[list[Day]] = []
    for one in days:
        if runs and one[0] - runs[-1][-1][0] == timedelta(days=1):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _dates(first: date, last: date) -> list[date]:
    """Mondays or first days of months, a few of them."""
    span = (last - first).days
    if span > _MOST_DATES * 14:
        every = math.ceil(span / 30 / _MOST_DATES)
        months = [first + timedelta(days=number) for number in range(span + 1)]
        found = [when for when in months if when.day == 1]
        return found[::every]
    every = max(1, math.ceil(span / 7 / _MOST_DATES))
    mondays = [when for number in range(span + 1) if (when := first + timedelta(days=number)).weekday() == 0]
    return mondays[::every] or [first]
