"""Figures over time: the charts of the pages, as the one module for the history reads them."""

from collections.abc import Callable, Sequence

from ninja import Field, Schema

from vmdash.metrics.charts import Chart as Asked
from vmdash.metrics.charts import drawn
from vmdash.metrics.ranges import Window, window_of
from vmdash.metrics.trouble import history_trouble


class Range(Schema):
    """A span that ends now, or two moments."""

    range: str = Field("hour", max_length=10, description="hour, day, week, month or year.")
    start: int | None = Field(None, ge=0, le=10**11, description="Unix seconds; with `end`, instead of `range`.")
    end: int | None = Field(None, ge=0, le=10**11)

    def window(self) -> Window:
        """Raises InvalidInput."""
        if self.start is None and self.end is None:
            return window_of({"range": self.range})
        return window_of({"from": str(self.start), "to": str(self.end)})


class ChartLine(Schema):
    label: str
    values: list[float | None] = Field(description="One for each moment of `at`; null where nothing is known.")


class Chart(Schema):
    key: str
    title: str
    unit: str = Field(description="percent, bytes, per_second (bytes), each_second (things), seconds or number.")
    lines: list[ChartLine]


class Charts(Schema):
    at: list[int] = Field(description="The moments, in Unix seconds.")
    step_s: int
    charts: list[Chart]
    note: str = Field(description="Why figures may be missing; empty when nothing is wrong.")


def charts_over(asked: Range, charts: Callable[[Window], Sequence[Asked]]) -> Charts:
    """Raises InvalidInput, and Unavailable while the history does not answer."""
    window = asked.window()
    found = drawn(charts(window), window)
    trouble = history_trouble()
    return Charts(
        at=list(window.grid),
        step_s=window.step_s,
        charts=[
            Chart(
                key=chart.key,
                title=chart.title,
                unit=chart.unit,
                lines=[ChartLine(label=line.label, values=line.values) for line in lines],
            )
            for chart, lines in found
        ],
        note=trouble.of_charts if trouble else "",
    )
