"""What the capacity pages show beyond the figures themselves: columns, order, charts, links."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from domains.capacity.chart import Chart, chart, chart_of
from domains.capacity.models import SHARES, Outlook, Resource, Scope
from domains.capacity.outlooks import days_of
from domains.capacity.sheet import FILLING, SORTS, Line, Room
from domains.capacity.stores import distinct, taken_bytes
from hosts.columns import Column, column
from storage.models import Pool

if TYPE_CHECKING:
    from vmdash.access.models import User

MOST_POOLS = 8
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


@dataclass(frozen=True, slots=True)
class FillingPool:
    """A pool that is foreseen to be full."""

    pool: Pool
    outlook: Outlook

    @property
    def fill(self) -> float | None:
        return Room(self.pool.capacity_bytes, taken_bytes(self.pool)).fill


def filling_pools(user: User, line: Line) -> list[FillingPool]:
    """The first that will be full; what several pools show is there once. Two queries."""
    pools = Pool.objects.visible_to(user).filter(host__in=[machine.pk for machine in line.machines])
    columns = ("host__name", "name", "type", "state", "storage_id", "capacity_bytes", "available_bytes")
    some = {str(pool.pk): pool for pool in distinct(pools.select_related("host").only(*columns).order_by("pk"))}
    rows = Outlook.objects.visible_to(user).filter(scope=Scope.POOL, resource=Resource.STORAGE, full_at__isnull=False)
    found = rows.defer("days").order_by("full_at").iterator(100)
    return list(islice((FillingPool(some[row.key], row) for row in found if row.key in some), MOST_POOLS))


def charts_of(user: User, scope: Scope, key: str) -> list[Chart]:
    """Of what can be full; for a person who sees everything. One query."""
    rows = Outlook.objects.visible_to(user).filter(scope=scope, key=key, resource__in=FILLING)
    found = {row.resource: row for row in rows}
    charts = [chart_of(found[resource]) for resource in FILLING if resource in found]
    return [chart for chart in charts if chart]


@dataclass(frozen=True, slots=True)
class Courses:
    """Steal and overcommit day by day, on one axis of time, to be seen beside each other."""

    charts: list[Chart]
    missing: list[str]
    """What is not known of any day."""


def courses_of(user: User, scope: Scope, key: str) -> Courses:
    """For a person who sees everything. One query."""
    rows = Outlook.objects.visible_to(user).filter(scope=scope, key=key, resource__in=SHARES)
    found = {row.resource: (row, days) for row in rows if (days := days_of(row))}
    known = [day for _, days in found.values() for day, _ in days]
    axis = (min(known), max(known)) if known else None
    return Courses(
        [chart(*found[resource], axis) for resource in SHARES if resource in found],
        [resource.label for resource in SHARES if resource not in found],
    )
