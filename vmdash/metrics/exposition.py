"""Single figures to the history store, in Prometheus' text format. The collector's counters go another way, in which
many share their labels (`vmdash.metrics.lines`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import httpx
from django.conf import settings

from vmdash.exceptions import Unavailable

TIMEOUT_S = 10


def line(name: str, labels: Mapping[str, object], value: float, at_ms: int) -> str:
    told = ",".join(f'{label}="{_escape(str(text))}"' for label, text in labels.items())
    return f"{name}{{{told}}} {value:.12g} {at_ms}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def store(lines: Iterable[str], *, timeout_s: float = TIMEOUT_S) -> None:
    """Raises Unavailable: the store does not take them."""
    url = f"{settings.TSDB_WRITE_URL}/api/v1/import/prometheus"
    try:
        httpx.post(url, content="\n".join((*lines, "")), timeout=timeout_s).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(
            "The history store takes nothing.", hint="Look at its log: is its disk full?", detail=str(error)
        ) from error
