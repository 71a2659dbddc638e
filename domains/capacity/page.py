"""What the capacity pages show beyond the figures themselves: columns, order, charts, links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.capacity.chart import Chart, chart_of
from domains.capacity.models import Outlook, Scope
from domains.capacity.sheet import FILLING, SORTS, Line
from hosts.columns import Column, column

if TYPE_CHECKING:
    from vmdash.access.models import User

_COLUMNS = (
    ("name", "Host", "", False),
    ("guests", "Guests", "n", True),
    ("ratio", "vCPU", "n", True),
    ("cpu", "CPU used", "", True),
    ("steal", "Lost to steal", "n", True),
    ("given", "Memory given", "", True),
    ("memory", "Memory used", "wide", True),
    ("storage", "Storage taken", "wide", True),
    ("fails", "If it fails", "", True),
    ("full", "Full first", "", False),
)
"""The name in the URL, the heading, classes (`wide`: not on a phone), and whether the largest comes first."""


def columns(sort: str) -> list[Column]:
    return [column(*one, sort=sort) for one in _COLUMNS]


def ordered(lines: list[Line], sort: str) -> list[Line]:
    """By name first, so that equal ones are in order."""
    return sorted(lines, key=SORTS[sort.removeprefix("-")], reverse=sort.startswith("-"))


def charts_of(user: User, scope: Scope, key: str) -> list[Chart]:
    """Of what can be full; for a person who sees everything. One query."""
    rows = Outlook.objects.visible_to(user).filter(scope=scope, key=key, resource__in=FILLING)
    found = {row.resource: row for row in rows}
    charts = [chart_of(found[resource]) for resource in FILLING if resource in found]
    return [chart for chart in charts if chart]
