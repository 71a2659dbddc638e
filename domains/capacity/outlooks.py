"""Use over two weeks and the forecast, of each host, site and pool and of the fleet, from recorded hours."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from domains.capacity.findings import HOURS
from domains.capacity.forecast import Day, learn
from domains.capacity.models import Outlook, Resource, Scope
from domains.capacity.shares import by_day, mean_share, share_of_days
from domains.capacity.stores import distinct
from hosts.models import Host
from storage.models import Pool
from vmdash.metrics.hourly import HOUR_S, TIMEOUT_S
from vmdash.metrics.query import values_between

DAYS_BACK = 91
_CHUNK = 7 * 24
LEAST_HOURS_A_DAY = 18
"""A day counts for CPU and memory when so many of its hours are known."""
FULL = {Resource.CPU: 0.90, Resource.MEMORY: 0.95, Resource.GIVEN: 0.95, Resource.STORAGE: 0.95}
"""Of the total: from there on it counts as full."""
_SERIES = {
    Resource.CPU: "host:cpu_used:rate1h",
    Resource.MEMORY: "host:memory_used_bytes:avg1h",
    Resource.GIVEN: "host:memory_given_bytes:last",
    Resource.GUEST_CPU: "host:guest_cpu_used:rate1h",
    Resource.STEAL: "host:guest_steal:rate1h",
}
_SHARES = {
    Resource.LOST: ("host:guest_steal:rate1h", ("host:guest_steal:rate1h", "host:guest_cpu_used:rate1h")),
    Resource.OVERCOMMIT: ("host:vcpus:last", ("host:cpus:rate1h",)),
}
"""The part, and what the whole is the sum of."""
_MOMENTARY = (Resource.GIVEN, Resource.STORAGE)
"""What changes slowly, so that one hour tells of its day."""
_COLUMNS = ["made_at", "hours", "mean", "busy", "days", "limit", "total", "full_from", "full_at", "full_by", "horizon"]

Hours = Sequence[float]
"""A value for each hour, NaN where nothing is known."""


def pool_key(host: str, pool: str) -> str:
    """How a pool is called in the history."""
    return f"{host}/{pool}"


def work_out(until: datetime) -> None:
    """Raises Unavailable."""
    now = timezone.now()
    end = round(until.timestamp())
    grid = range(end - DAYS_BACK * 24 * HOUR_S + HOUR_S, end + 1, HOUR_S)
    hosts = list(Host.objects.filter(enabled=True).select_related("site"))
    rows: list[Outlook] = []
    parts = {name for part, whole in _SHARES.values() for name in (part, *whole)}
    kept: dict[str, dict[str, array[float]]] = {}
    for resource, name in _SERIES.items():
        series = _read(name, grid, "host")
        if name in parts:
            kept[name] = series
        for scope, key, members in _scopes(hosts):
            known = [series[host.name] for host in members if host.name in series]
            rows.append(_outlook(scope, key, resource, together(known), grid, _total(resource, members), now))
    rows += _shares(hosts, grid, now, kept)
    rows += _storage(hosts, grid, now)
    Outlook.objects.bulk_create(
        [row for row in rows if row.hours or row.days],
        batch_size=200,
        update_conflicts=True,
        unique_fields=["scope", "key", "resource"],
        update_fields=_COLUMNS,
    )
    Outlook.objects.filter(made_at__lt=now).delete()


def _scopes(hosts: Sequence[Host]) -> list[tuple[Scope, str, Sequence[Host]]]:
    sites: dict[str, list[Host]] = defaultdict(list)
    for host in hosts:
        if host.site:
            sites[host.site.name].append(host)
    each = [(Scope.HOST, str(host.pk), [host]) for host in hosts]
    return [(Scope.FLEET, "", hosts), *((Scope.SITE, name, members) for name, members in sites.items()), *each]


def _total(resource: Resource, hosts: Iterable[Host]) -> float:
    if resource in (Resource.MEMORY, Resource.GIVEN):
        return sum(host.memory_kib for host in hosts) * 1024
    return sum(host.cpus for host in hosts)


def _shares(
    hosts: Sequence[Host], grid: range, now: datetime, kept: Mapping[str, dict[str, array[float]]]
) -> list[Outlook]:
    """Of the hosts of which both the part and the whole are known. `kept` are series that have been read already."""
    days, rows = by_day(grid), []
    for resource, (part, whole) in _SHARES.items():
        series = {name: kept[name] if name in kept else _read(name, grid, "host") for name in {part, *whole}}
        for scope, key, members in _scopes(hosts):
            names = [host.name for host in members if all(host.name in read for read in series.values())]
            sums = {name: together([read[host] for host in names]) for name, read in series.items()}
            wholes = [math.fsum(values) for values in zip(*(sums[name] for name in whole), strict=True)]
            recent = mean_share(sums[part][-HOURS:], wholes[-HOURS:])
            rows.append(
                Outlook(
                    scope=scope, key=key, resource=resource, made_at=now, hours=recent.hours, mean=recent.value,
                    days=[
                        [day.isoformat(), _short(value)]
                        for day, value in share_of_days(sums[part], wholes, days, LEAST_HOURS_A_DAY)
                    ],
                )
            )  # fmt: skip
    return rows


def _storage(hosts: Sequence[Host], grid: range, now: datetime) -> list[Outlook]:
    """Each pool; and of sites and the fleet, storage that several pools show counted once."""
    names = {host.pk: host.name for host in hosts}
    pools = list(Pool.objects.filter(host__in=names).order_by("pk").defer("xml"))
    series = _read("pool:taken_bytes:last", grid, "pool")
    keys = {pool.pk: pool_key(names[pool.host_id], pool.name) for pool in pools}
    groups = [(Scope.POOL, str(pool.pk), [pool]) for pool in pools]
    for scope, key, members in _scopes(hosts):
        inside = {host.pk for host in members}
        groups.append((scope, key, distinct(pool for pool in pools if pool.host_id in inside)))
    rows = []
    for scope, key, some in groups:
        known = [series[keys[pool.pk]] for pool in some if keys[pool.pk] in series]
        total = sum(pool.capacity_bytes for pool in some)
        rows.append(_outlook(scope, key, Resource.STORAGE, together(known), grid, total, now))
    return rows


def _read(name: str, grid: range, label: str) -> dict[str, array[float]]:
    """Hours of each series; a week at a time, since a large fleet has many."""
    found: dict[str, array[float]] = {}
    for first in range(0, len(grid), _CHUNK):
        part = grid[first : first + _CHUNK]
        read = values_between(f"last_over_time({name}[1h])", part, label, timeout_s=TIMEOUT_S)
        for key, values in read.items():
            hours = found.setdefault(key, array("d", [math.nan]) * len(grid))
            for at, value in values:
                hours[(at - grid.start) // HOUR_S] = value
    return found


def together(series: Sequence[Hours]) -> Hours:
    """The sum, hour by hour; unknown where a member is missing that is there within a day before and after."""
    if len(series) <= 1:
        return series[0] if series else []
    sums = [math.fsum(value for value in values if value == value) for values in zip(*series, strict=True)]
    counts = [sum(value == value for value in values) for values in zip(*series, strict=True)]
    for at, count in enumerate(counts):
        before, after = counts[max(0, at - 24) : at + 1], counts[at : at + 25]
        if not count or count < min(max(before), max(after)):
            sums[at] = math.nan
    return sums


def busiest_of_days(hours: Hours, grid: Sequence[int], least: int) -> list[Day]:
    """The largest value of each day of which `least` hours are known, in local time; without the day that goes on."""
    known = {day: [hours[at] for at in places if hours[at] == hours[at]] for day, places in by_day(grid).items()}
    return [(day, max(values)) for day, values in known.items() if len(values) >= least]


def quantile(values: Sequence[float], share: float) -> float:
    """Of at least one value, between the nearest two."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _outlook(
    scope: Scope, key: str, resource: Resource, hours: Hours, grid: range, total: float, now: datetime
) -> Outlook:
    recent = [value for value in hours[-HOURS:] if value == value]
    least = 1 if resource in _MOMENTARY else LEAST_HOURS_A_DAY
    days = busiest_of_days(hours, grid, least) if len(hours) else []
    row = Outlook(
        scope=scope, key=key, resource=resource, made_at=now, hours=len(recent),
        days=[[day.isoformat(), _short(value)] for day, value in days],
        limit=total * FULL.get(resource, 0.0), total=total,
    )  # fmt: skip
    if recent:
        row.mean, row.busy = math.fsum(recent) / len(recent), quantile(recent, 0.95)
    for name, value in foreseen(days, row.limit).items():
        setattr(row, name, value)
    return row


def foreseen(days: Sequence[Day], limit: float) -> dict[str, Any]:
    """The forecast as columns; what is full already is so since the last day."""
    trend = learn(days) if limit else None
    if limit and days and days[-1][1] >= limit:
        last = days[-1][0]
        return {"full_from": last, "full_at": last, "full_by": last, "horizon": trend.horizon if trend else None}
    if trend is None:
        return {"full_from": None, "full_at": None, "full_by": None, "horizon": None}
    crossing = trend.crossing(limit)
    return {
        "full_from": crossing.soonest,
        "full_at": crossing.likely,
        "full_by": crossing.latest,
        "horizon": trend.horizon,
    }


def days_of(outlook: Outlook) -> list[Day]:
    return [(date.fromisoformat(day), value) for day, value in outlook.days]


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def by_scope(rows: Iterable[Outlook]) -> Mapping[tuple[str, str, str], Outlook]:
    return {(row.scope, row.key, row.resource): row for row in rows}
