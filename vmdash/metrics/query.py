"""Reading the history store: several figures over time in one request, in plain PromQL.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/, "Range queries"; VictoriaMetrics answers the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import httpx
from django.conf import settings

from vmdash.exceptions import Unavailable

STEP_S = 15
HOUR_S = 3600
TIMEOUT_S = 3

Found = list[tuple[str, list[tuple[float, str]]]]
Series = list[float | None]
"""One value for each point of the time grid; None where nothing is known."""


def last_hour_of(expressions: Mapping[str, str]) -> dict[str, Series]:
    """PromQL expressions by name, each of one series, over the last hour.

    The result has the same names, and `at`: the time grid in Unix seconds, every 15 s, ending now.

    Raises:
        Unavailable: the store does not answer, or not in time.
    """
    end = int(time.time()) // STEP_S * STEP_S
    grid = range(end - HOUR_S, end + 1, STEP_S)
    result: dict[str, Series] = {"at": [float(at) for at in grid]}
    result |= {name: [None] * len(grid) for name in expressions}
    # A label tells them apart, so that one request fetches all.
    together = " or ".join(
        f'label_replace({expression}, "series", "{name}", "", "")' for name, expression in expressions.items()
    )
    for name, values in _ask(together, grid):
        for at, text in values:
            value = float(text)
            if math.isfinite(value):
                result[name][(round(at) - grid.start) // STEP_S] = round(value, 3)
    return result


def _ask(query: str, grid: range) -> Found:
    asked = {"query": query, "start": str(grid.start), "end": str(grid[-1]), "step": str(STEP_S)}
    try:
        answer = httpx.post(f"{settings.TSDB_URL}/api/v1/query_range", data=asked, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return [(found["metric"]["series"], found["values"]) for found in answer.json()["data"]["result"]]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unavailable(
            "The history store does not answer.",
            hint="The charts come back with it; the live figures go on.",
            detail=str(error),
        ) from error
