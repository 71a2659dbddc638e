"""What the pages about storage show, read in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet, Sum

from storage.chains import Chains, Image, hosts_that_see
from storage.forecasts import Forecast, forecasts
from storage.inventory import READABLE
from storage.models import Pool, Storage, Volume
from storage.pool_actions import ActionChoice, host_obstacle, possible
from storage.sharing import TYPES
from vmdash.access.roles import Permission, can
from vmdash.alerts.models import Alert
from vmdash.alerts.selectors import of_pool
from vmdash.exceptions import VmdashError
from vmdash.jobs.models import Job
from vmdash.virt.xml.pool import PoolDefinition
from vmdash.virt.xml.pool_types import POOL_TYPES

if TYPE_CHECKING:
    from vmdash.access.models import User

VOLUMES_A_PAGE = 200
TREES_A_PAGE = 40
MOST_CANDIDATES = 30
NEWEST_JOBS = 8

_LOOKS = {
    Pool.State.RUNNING: ("ok", "running"),
    Pool.State.INACTIVE: ("off", "off"),
    Pool.State.BUILDING: ("busy", "job"),
    Pool.State.DEGRADED: ("warn", "warning"),
    Pool.State.INACCESSIBLE: ("bad", "crashed"),
}


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool with what its volumes come to. `promised_bytes` is how large they may become all together."""

    pool: Pool
    volumes: int
    promised_bytes: int
    forecast: Forecast | None = None
    """When it is full; None where that was not asked for, or is not told to this person."""

    @property
    def look(self) -> str:
        return _LOOKS[Pool.State(self.pool.state)][0]

    @property
    def icon(self) -> str:
        return _LOOKS[Pool.State(self.pool.state)][1]

    @property
    def fill(self) -> float | None:
        """What is taken, percent; None where the size is not known."""
        size = self.pool.capacity_bytes
        return 100 * (size - self.pool.available_bytes) / size if size else None

    @property
    def overcommit(self) -> float | None:
        """How much has been promised to volumes, percent of the pool, where that is more than it has."""
        size = self.pool.capacity_bytes
        return 100 * self.promised_bytes / size if size and self.promised_bytes > size else None

    @property
    def trouble(self) -> str:
        """Why what is shown may be old, or wrong; empty when nothing is in the way."""
        return host_obstacle(self.pool.host) or self.pool.trouble


def _least(value: float | None) -> float:
    return -1 if value is None else value


_SORTS: dict[str, Callable[[PoolRow], Any]] = {
    "name": lambda row: row.pool.name.lower(),
    "host": lambda row: row.pool.host.name.lower(),
    "type": lambda row: row.pool.type,
    "state": lambda row: row.pool.state,
    "used": lambda row: _least(row.fill),
    "size": lambda row: row.pool.capacity_bytes,
    "free": lambda row: row.pool.available_bytes,
    "full": lambda row: (row.forecast and row.forecast.full_at) or date.max,
    "volumes": lambda row: row.volumes,
    "read": lambda row: row.pool.seen_at,
}
"""What the list can be sorted by, by its name in the URL."""
SORT_CHOICES = [*_SORTS, *(f"-{name}" for name in _SORTS)]


@dataclass(frozen=True, slots=True)
class PoolGroup:
    """The pools that are one storage; `storage` is None for those that are on their own."""

    storage: Storage | None
    rows: list[PoolRow]


def pool_rows(pools: QuerySet[Pool]) -> list[PoolRow]:
    """One query."""
    found = (
        pools.select_related("host", "storage")
        .defer("xml")
        .annotate(volume_count=Count("volumes"), promised=Sum("volumes__capacity_bytes"))
    )
    return [PoolRow(pool, pool.volume_count, pool.promised or 0) for pool in found]


def pool_groups(
    user: User, *, text: str = "", host: str = "", type: str = "", sort: str = "name"
) -> tuple[list[PoolGroup], int]:
    """The pools that match every condition that is not empty, those that are one storage together; and how many."""
    pools = Pool.objects.visible_to(user)
    if host:
        pools = pools.filter(host__name=host)
    if type:
        pools = pools.filter(type=type)
    if text:
        pools = pools.filter(Q(name__icontains=text) | Q(path__icontains=text) | Q(source__icontains=text))
    rows = pool_rows(pools)
    foreseen = forecasts(user, [row.pool.pk for row in rows])
    rows = [replace(row, forecast=foreseen.get(row.pool.pk)) for row in rows]
    rows.sort(key=lambda row: (row.pool.host.name.lower(), row.pool.name.lower()))
    rows.sort(key=_SORTS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    groups: dict[int, PoolGroup] = {}
    alone = PoolGroup(None, [])
    for row in rows:
        storage = row.pool.storage
        group = groups.setdefault(storage.pk, PoolGroup(storage, [])) if storage else alone
        group.rows.append(row)
    shared = sorted(groups.values(), key=lambda group: group.storage.name if group.storage else "")
    return [*shared, *([alone] if alone.rows else [])], len(rows)


def pool_choices(user: User) -> tuple[list[str], list[str]]:
    """The names of hosts that have pools, and the types of pools, for choosing among them."""
    pools = Pool.objects.visible_to(user).order_by()
    hosts = pools.values_list("host__name", flat=True).distinct().order_by("host__name")
    return list(hosts), sorted(pools.values_list("type", flat=True).distinct())


# One pool


@dataclass(frozen=True, slots=True)
class VolumeLine:
    """A volume in the table of its pool."""

    volume: Volume
    image: Image

    @property
    def fill(self) -> float | None:
        size = self.volume.capacity_bytes
        return 100 * self.volume.allocation_bytes / size if size else None


@dataclass(frozen=True)
class PoolPage:
    """A pool as one person sees it."""

    row: PoolRow
    user: User
    choices: list[ActionChoice]
    page: Page[Volume]
    text: str
    """What volumes were looked for."""

    @property
    def pool(self) -> Pool:
        return self.row.pool

    @property
    def may_change(self) -> bool:
        return can(self.user, Permission.STORAGE, self.pool)

    @property
    def is_readable(self) -> bool:
        return self.pool.state in READABLE

    @cached_property
    def made_of(self) -> str:
        try:
            return PoolDefinition.parse(self.pool.xml).made_of if self.pool.xml else self.pool.source
        except VmdashError:
            return self.pool.source

    @property
    def type_label(self) -> str:
        kind = POOL_TYPES.get(self.pool.type)
        return kind.label if kind else self.pool.type

    @cached_property
    def lines(self) -> list[VolumeLine]:
        chains = Chains(hosts_that_see(self.pool), self.user)
        lines = []
        for volume in self.page.object_list:
            volume.pool = self.pool
            lines.append(VolumeLine(volume, chains.find(volume)))
        return lines

    @cached_property
    def others(self) -> list[Pool]:
        """The pools of other hosts that are the same storage."""
        if self.pool.storage_id is None:
            return []
        same = Pool.objects.visible_to(self.user).filter(storage=self.pool.storage_id).exclude(pk=self.pool.pk)
        return list(same.select_related("host"))

    @cached_property
    def candidates(self) -> list[Pool]:
        """Pools of other hosts that might be the same storage: of the same name or path, and active."""
        if self.pool.type not in TYPES or not self.is_readable:
            return []
        alike = Q(name=self.pool.name) | (Q(path=self.pool.path) if self.pool.path else Q())
        found = Pool.objects.open_to(self.user, Permission.STORAGE).filter(alike, type__in=TYPES, state__in=READABLE)
        if self.pool.storage_id:
            found = found.exclude(storage=self.pool.storage_id)
        found = found.exclude(host=self.pool.host_id).filter(host__state="up", host__enabled=True)
        return list(found.select_related("host")[:MOST_CANDIDATES])

    @cached_property
    def alerts(self) -> list[Alert]:
        return of_pool(self.user, self.pool.host.name, self.pool.name)

    @cached_property
    def jobs(self) -> list[Job]:
        about = Q(target_kind="pool", target_id=str(self.pool.pk))
        return list(Job.objects.visible_to(self.user).filter(about)[:NEWEST_JOBS])


def pool_page(user: User, host: str, name: str, *, text: str = "", number: str = "1") -> PoolPage | None:
    """None when `user` knows no such pool."""
    rows = Pool.objects.visible_to(user).filter(host__name=host, name=name).select_related("host", "storage")
    pool = rows.first()
    if pool is None:
        return None
    summed = Volume.objects.filter(pool=pool).aggregate(count=Count("pk"), promised=Sum("capacity_bytes"))
    volumes = Volume.objects.visible_to(user).filter(pool=pool)
    if text:
        volumes = volumes.filter(name__icontains=text)
    page = Paginator(volumes, VOLUMES_A_PAGE).get_page(number)
    return PoolPage(PoolRow(pool, summed["count"], summed["promised"] or 0), user, possible(pool, user), page, text)


# Chains


@dataclass(frozen=True, slots=True)
class ChainsPage:
    page: Page[Image]
    text: str
    total: int
    """How many images others lie on."""


def chains_page(user: User, *, text: str = "", number: str = "1") -> ChainsPage:
    """Every image that others lie on, with all that does; with `text`, those where it is in the name of any or of a
    guest that uses it."""
    trees = Chains(user=user).trees()
    wanted = [tree for tree in trees if not text or _mentions(tree, text.lower())]
    return ChainsPage(Paginator(wanted, TREES_A_PAGE).get_page(number), text, len(trees))


def _mentions(tree: Image, text: str) -> bool:
    def names(images: Iterable[Image]) -> Iterable[str]:
        for image in images:
            yield image.path
            yield from (use.name for use in image.users)

    return any(text in name.lower() for name in names([tree, *tree.above()]))
