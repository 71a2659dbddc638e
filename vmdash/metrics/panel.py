"""The charts of a page: their frame, which stands without JavaScript, and the answers that fill it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import HttpResponse, JsonResponse

from vmdash.exceptions import InvalidInput, Unavailable
from vmdash.metrics.charts import Chart, Event, as_csv, as_json, drawn
from vmdash.metrics.ranges import SPANS, Span, Window, window_of
from vmdash.metrics.spread import spreads_of
from vmdash.metrics.trouble import history_trouble

log = logging.getLogger(__name__)

Form = Literal["json", "csv"]
MOST_EVENTS = 200
"""On one time axis, the newest."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What templates/components/charts.html shows. `address` is that of the answers, without its ending."""

    address: str
    window: Window
    charts: Sequence[Chart]
    site: str = ""
    """Part of every address, on the fleet page of one site."""

    @property
    def kept(self) -> str:
        """What other ranges have in common with this one, as the beginning of a query."""
        return urlencode({"site": self.site}) + "&" if self.site else ""

    @property
    def spans(self) -> list[Span]:
        return list(SPANS.values())

    @property
    def query(self) -> str:
        """The address of the same range elsewhere, after its question mark."""
        window = self.window
        return self.kept + urlencode(
            {"range": window.key} if window.key else {"from": window.start_s, "to": window.end_s}
        )


def chosen_window(asked: Mapping[str, str]) -> Window:
    """What the page's address asks for. Raises BadRequest."""
    try:
        return window_of(asked)
    except InvalidInput as error:
        raise BadRequest(str(error)) from error


def answer(
    asked: Mapping[str, str],
    form: Form,
    name: str,
    charts: Callable[[Window], Sequence[Chart]],
    events: Callable[[Window], Sequence[Event]],
) -> HttpResponse:
    """The charts as JSON or as a file `NAME.csv`; 503 while the history store does not answer. Raises BadRequest.

    With `after` (Unix seconds) only the points since then come, for a chart that goes on.
    """
    whole = window = chosen_window(asked)
    if form == "json" and (after := asked.get("after", "")):
        if not (after.isascii() and after.isdecimal() and len(after) <= 12):
            raise BadRequest("After which point? Write its time in Unix seconds.")
        window = whole.after(int(after))
    shown = charts(window)
    try:
        found = drawn(shown, window)
    except Unavailable as error:
        log.warning("%s %s", error.message, error.detail)
        return JsonResponse({"error": error.message, "hint": error.hint}, status=503)
    if form == "json":
        trouble = history_trouble()
        note = trouble.of_charts if trouble else ""
        spreads = _spreads(shown if window is whole else charts(whole), whole)
        return JsonResponse(as_json(found, window, events(window), spreads) | {"note": note})
    return HttpResponse(
        as_csv(found, window),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{_safe(name)}-{window.key or "chosen"}.csv"'},
    )


def _spreads(charts: Sequence[Chart], window: Window) -> dict[str, Any]:
    """Charts do not wait for them in vain: a year of a large fleet may take too long."""
    try:
        return spreads_of(charts, window)
    except Unavailable as error:
        log.warning("%s %s", error.message, error.detail)
        return {}


def _safe(name: str) -> str:
    return "".join(
        character if character.isascii() and (character.isalnum() or character in "-_.") else "_" for character in name
    )
