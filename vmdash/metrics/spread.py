"""How values are spread over the time that charts show: the median, and what they stay below for 95 and 99 % of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from vmdash.formats import duration
from vmdash.metrics.charts import Chart
from vmdash.metrics.query import Asked, read
from vmdash.metrics.ranges import Window


@dataclass(frozen=True, slots=True)
class Spread:
    label: str
    median: float
    p95: float
    p99: float
    most: float


def spreads_of(charts: Sequence[Chart], window: Window) -> dict[str, Any]:
    """By the chart's key, for those that ask for it and of which anything is known: over how long each value is a mean,
    and a `Spread` for each line. One request to the store, or none.

    Raises:
        Unavailable: the store does not answer.
    """
    lines = [(chart, line) for chart in charts for line in chart.spread]
    if not lines:
        return {}
    finest = window.finest
    asked = {f"s{n}": Asked(line.expression, line.by) for n, (_, line) in enumerate(lines)}
    found = read(asked, finest.grid)
    result: dict[str, Any] = {}
    for n, (chart, line) in enumerate(lines):
        values = [(value, series) for (name, value), series in found.items() if name == f"s{n}"]
        for value, series in sorted(values, key=lambda one: (len(one[0]), one[0])):
            if spread := spread_of(line.label.format(value), series):
                over = duration(timedelta(seconds=finest.over_s))
                result.setdefault(chart.key, {"over": over, "lines": []})["lines"].append(asdict(spread))
    return result


def spread_of(label: str, series: Sequence[float | None]) -> Spread | None:
    """None where nothing is known."""
    known = sorted(value for value in series if value is not None)
    if not known:
        return None
    return Spread(label, *(_quantile(known, share) for share in (0.5, 0.95, 0.99, 1)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between two values in proportion, as PromQL's quantile_over_time has it."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
