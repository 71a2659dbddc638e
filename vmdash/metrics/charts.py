"""Charts: what each shows, in PromQL, and the same with its values. Each app makes those of its things."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from vmdash.metrics.query import Asked, Series, read
from vmdash.metrics.ranges import Window

Unit = Literal["percent", "bytes", "per_second", "number", "each_second", "seconds"]
"""Each is one of static/js/chart-units.js; `each_second` counts things."""
UNIT_WORDS: dict[Unit, str] = {
    "percent": "%",
    "bytes": "bytes",
    "per_second": "bytes/s",
    "number": "",
    "each_second": "1/s",
    "seconds": "s",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, or with `by` one for each value of that label: `{}` in `label` stands for it.

    `live` is the key of the figure in a tick that goes on with it, `scale` what that is multiplied by.
    """

    label: str
    expression: str
    color: str
    """A custom property of static/css/tokens.css; lines of one `by` get shades of it."""
    by: str = ""
    live: str = ""
    scale: float = 1
    is_mark: bool = False
    """It says how much there is, rather than how much is used: not filled, never stacked."""


@dataclass(frozen=True, slots=True)
class Chart:
    key: str
    title: str
    unit: Unit
    lines: tuple[Line, ...]
    note: str = ""
    """What the figures are a part of: "of its vCPUs"."""
    stacked: bool = False
    top: float | None = None
    """Where the axis ends; None: above the highest value."""
    limits: tuple[tuple[str, float], ...] = ()
    """Drawn across: what it is, and where."""

    @property
    def is_live(self) -> bool:
        """Every line goes on with each tick."""
        return all(line.live for line in self.lines)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, on the time axis."""

    at: datetime
    text: str
    tone: str = ""
    """bad, warn, busy or empty."""
    url: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line with its values, one for each point of the grid."""

    line: Line
    label: str
    values: Series


def drawn(charts: Sequence[Chart], window: Window) -> list[tuple[Chart, list[Drawn]]]:
    """The charts with their values; a line of which nothing is known has none. One request to the store.

    Raises:
        Unavailable: the store does not answer.
    """
    asked = {f"{c}_{n}": Asked(line.expression, line.by) for c, chart in enumerate(charts) for n, line in _lines(chart)}
    found = read(asked, window.grid)
    nothing: Series = [None] * len(window.grid)
    result = []
    for c, chart in enumerate(charts):
        lines = []
        for n, line in _lines(chart):
            name = f"{c}_{n}"
            if line.by:
                values = sorted(value for key, value in found if key == name)
                values.sort(key=lambda value: (len(value), value))
                lines += [Drawn(line, line.label.format(value), found[name, value]) for value in values]
            else:
                lines.append(Drawn(line, line.label, found.get((name, ""), nothing)))
        result.append((chart, lines))
    return result


def _lines(chart: Chart) -> Iterator[tuple[int, Line]]:
    return enumerate(chart.lines)


def as_json(charts: Sequence[tuple[Chart, list[Drawn]]], window: Window, events: Sequence[Event]) -> dict[str, Any]:
    """What static/js/charts.js draws. Times are Unix seconds."""
    return {
        "range": window.key,
        "live": window.is_live,
        "step": window.step_s,
        "at": list(window.grid),
        "charts": {
            chart.key: {
                "unit": chart.unit,
                "stacked": chart.stacked,
                "top": chart.top,
                "limits": chart.limits,
                "lines": [
                    {
                        "label": each.label,
                        "color": each.line.color,
                        "live": each.line.live,
                        "scale": each.line.scale,
                        "mark": each.line.is_mark,
                        "values": each.values,
                    }
                    for each in lines
                ],
            }
            for chart, lines in charts
        },
        "events": [
            {
                "at": event.at.timestamp(),
                "until": event.until.timestamp() if event.until else None,
                "text": event.text,
                "tone": event.tone,
                "url": event.url,
            }
            for event in events
        ],
    }


def as_csv(charts: Sequence[tuple[Chart, list[Drawn]]], window: Window) -> str:
    """One row for each point in time (UTC, ISO 8601), one column for each line."""
    file = io.StringIO()
    writer = csv.writer(file)
    columns = [
        (" ".join(filter(None, (f"{chart.title}: {each.label}", f"({unit})" if unit else ""))), each.values)
        for chart, lines in charts
        if (unit := UNIT_WORDS[chart.unit]) is not None
        for each in lines
    ]
    writer.writerow(["time", *(title for title, _ in columns)])
    for number, at in enumerate(window.grid):
        values = ["" if series[number] is None else series[number] for _, series in columns]
        writer.writerow([datetime.fromtimestamp(at, UTC).isoformat(), *values])
    return file.getvalue()
