"""Reading the history store: several figures over time in one request, in plain PromQL.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/, "Range queries"; VictoriaMetrics answers the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from django.conf import settings

from vmdash.exceptions import Unavailable

TIMEOUT_S = 3
READ_TIMEOUT_S = 10
"""A year of a fleet takes its time."""

Series = list[float | None]
"""One value for each point of the time grid; None where nothing is known."""


def values_at(expression: str, at_s: int, label: str, *, timeout_s: float = TIMEOUT_S) -> dict[str, float]:
    """The value of each series at one moment (Unix seconds), by one label of theirs.

    Raises:
        Unavailable: the store does not answer, or not in time.
    """
    found = _request("query", {"query": expression, "time": str(at_s), "nocache": "1"}, timeout_s)
    values = ((each["metric"].get(label, ""), float(each["value"][1])) for each in found)
    return {name: value for name, value in values if math.isfinite(value)}


def labelled_at(
    asked: Mapping[str, str], at_s: int, *, timeout_s: float = TIMEOUT_S
) -> list[tuple[str, dict[str, str], float]]:
    """Several PromQL expressions at one moment (Unix seconds): for each series the name of its expression, its labels
    and its value. One request.

    Raises:
        Unavailable: the store does not answer, or not in time.
    """
    together = " or ".join(
        f'label_replace({expression}, "series", "{name}", "", "")' for name, expression in asked.items()
    )
    found = _request("query", {"query": together, "time": str(at_s), "nocache": "1"}, timeout_s)
    values = ((each["metric"], float(each["value"][1])) for each in found)
    return [(labels["series"], labels, value) for labels, value in values if math.isfinite(value)]


def values_between(
    expression: str, grid: range, label: str, *, timeout_s: float = TIMEOUT_S
) -> dict[str, list[tuple[int, float]]]:
    """The values of each series at the moments of the grid (Unix seconds) where there are any, by one label of theirs.

    Raises:
        Unavailable: the store does not answer, or not in time.
    """
    asked = {
        "query": expression,
        "start": str(grid.start),
        "end": str(grid[-1]),
        "step": str(grid.step),
        "nocache": "1",
    }
    result: dict[str, list[tuple[int, float]]] = {}
    for each in _request("query_range", asked, timeout_s):
        values = ((round(at), float(text)) for at, text in each["values"])
        result[each["metric"].get(label, "")] = [(at, value) for at, value in values if math.isfinite(value)]
    return result


@dataclass(frozen=True, slots=True)
class Asked:
    """A PromQL expression. With `by` it may have several series, which that label tells apart."""

    expression: str
    by: str = ""


def read(
    asked: Mapping[str, Asked], grid: range, *, timeout_s: float = READ_TIMEOUT_S
) -> dict[tuple[str, str], Series]:
    """Several expressions over one time grid (Unix seconds), by their name and the value of their label.

    Those that have nothing in this time are missing. One request.

    Raises:
        Unavailable: the store does not answer, or not in time.
    """
    together = " or ".join(
        f'label_replace({one.expression}, "series", "{name}", "", "")' for name, one in asked.items()
    )
    wanted = {"query": together, "start": str(grid.start), "end": str(grid[-1]), "step": str(grid.step)}
    wanted["nocache"] = "1"  # or VictoriaMetrics moves the grid
    result: dict[tuple[str, str], Series] = {}
    for found in _request("query_range", wanted, timeout_s):
        name = found["metric"]["series"]
        values = result.setdefault((name, found["metric"].get(asked[name].by, "")), [None] * len(grid))
        for at, text in found["values"]:
            value = float(text)
            if math.isfinite(value):
                values[(round(at) - grid.start) // grid.step] = float(f"{value:.6g}")
    return result


def newest(hosts: Sequence[str]) -> bytes:
    """The newest reading of each counter as Prometheus' text, of these hosts or, when there are none, of all.

    Source: https://prometheus.io/docs/prometheus/latest/federation/.

    Raises:
        Unavailable: the store does not answer, or not in time.
    """
    of = f",{labels(host=hosts).strip('{}')}" if hosts else ""
    asked = {"match[]": f'{{__name__=~"(libvirt|vmdash)_.+"{of}}}'}
    try:
        answer = httpx.get(f"{settings.TSDB_URL}/federate", params=asked, timeout=READ_TIMEOUT_S)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise _away(error) from error
    return answer.content


def labels(**wanted: str | Iterable[str]) -> str:
    """A selector: `labels(uuid="…")` is `{uuid="…"}`; one of several values: `labels(host=["a", "b"])`. Any text is
    safe in it."""
    parts = []
    for name, value in wanted.items():
        if isinstance(value, str):
            parts.append(f"{name}={_quoted(value)}")
        else:
            parts.append(f"{name}=~{_one_of(value)}")
    return f"{{{','.join(parts)}}}"


def other_than(name: str, values: Iterable[str]) -> str:
    """For `narrowed`: none of these values of a label. Any text is safe in it."""
    return f"{name}!~{_one_of(values)}"


def narrowed(only: str, more: str) -> str:
    """A selector that wants both; either may be empty."""
    parts = [part for part in (only.strip("{}"), more.strip("{}")) if part]
    return f"{{{','.join(parts)}}}" if parts else ""


def rate(series: str, over: str) -> str:
    """How fast a counter grows. Nothing where less than two readings are in reach: stores differ in what they make of
    one, and at the edges of a gap it is none of what happened."""
    return _of_several("rate", series, over)


def last_rate(series: str, over: str) -> str:
    """The same between the last two readings of that time."""
    return _of_several("irate", series, over)


def _of_several(function: str, series: str, over: str) -> str:
    return f"({function}({series}[{over}]) and count_over_time({series}[{over}]) > 1)"


def _quoted(value: str) -> str:
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _one_of(values: Iterable[str]) -> str:
    return _quoted("|".join(_literal(value) for value in values))


def _literal(value: str) -> str:
    """What matches this text and no other, in RE2."""
    return re.sub(r"([^A-Za-z0-9_-])", r"\\\1", value)


def _request(path: str, asked: dict[str, str], timeout_s: float) -> list[Any]:
    try:
        answer = httpx.post(f"{settings.TSDB_URL}/api/v1/{path}", data=asked, timeout=timeout_s)
        answer.raise_for_status()
        found: list[Any] = orjson.loads(answer.content)["data"]["result"]
        return found
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    return Unavailable(
        "The history store does not answer.",
        hint="The charts come back with it; the live figures go on.",
        detail=str(error),
    )
