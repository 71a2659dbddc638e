"""What pages read about hosts: rows from the database joined with the newest figures from the live cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Q, QuerySet, Sum

from hosts.models import Host, Site, Tag
from hosts.overcommit import Given
from hosts.status import Shown, Status, status_of
from vmdash.access.roles import Permission, can_everywhere
from vmdash.live.cache import ticks
from vmdash.live.messages import Tick
from vmdash.virt.states import GuestState

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

ACTIVE_STATES = [state.value for state in GuestState if state.is_active]


@dataclass(frozen=True, slots=True)
class HostFigures:
    """A host with its live figures; shares are percent, None is unknown."""

    host: Host
    status: Status
    guests: int
    running: int
    given: Given
    tick: Tick | None

    @property
    def trouble(self) -> str:
        """Why nothing is read from it, and what to do; empty when that is as it should be."""
        return "" if self.status.shown in (Shown.UP, Shown.DISABLED) else self.host.state_reason

    @property
    def cpu(self) -> float | None:
        return self.tick["sample"]["cpu"] if self.tick else None

    @property
    def steal(self) -> float | None:
        return self.tick["sample"]["steal"] if self.tick else None

    @property
    def memory_used_kib(self) -> int | None:
        return self.tick["sample"]["mem"] if self.tick else None

    @property
    def memory(self) -> float | None:
        total = self.tick["sample"]["mem_total"] if self.tick else None
        used = self.memory_used_kib
        return 100 * used / total if used is not None and total else None

    @property
    def seen_at_ms(self) -> int | None:
        """When the host last answered: the newest of tick and row."""
        times = [self.tick["at"]] if self.tick else []
        if self.host.last_seen_at:
            times.append(int(self.host.last_seen_at.timestamp() * 1000))
        return max(times, default=None)


def _least(value: float | None) -> float:
    return -1 if value is None else value


_SORTS: dict[str, Callable[[HostFigures], Any]] = {
    "name": lambda row: row.host.name.lower(),
    "state": lambda row: row.status.words,
    "site": lambda row: row.host.site.name.lower() if row.host.site else "",
    "hypervisor": lambda row: (row.host.hypervisor, row.host.hypervisor_version),
    "libvirt": lambda row: [int(part) for part in row.host.libvirt_version.split(".") if part.isdigit()],
    "cpus": lambda row: row.host.cpus,
    "size": lambda row: row.host.memory_kib,
    "guests": lambda row: row.running,
    "cpu": lambda row: _least(row.cpu),
    "memory": lambda row: _least(row.memory),
    "steal": lambda row: _least(row.steal),
    "seen": lambda row: row.seen_at_ms or 0,
}
"""What the list can be sorted by, by its name in the URL."""

SORT_CHOICES = [*_SORTS, *(f"-{name}" for name in _SORTS)]


def host_list(
    user: User | AnonymousUser, *, state: str = "", site: str = "", tag: str = "", text: str = "", sort: str = "name"
) -> list[HostFigures]:
    """The hosts that match every condition that is not empty, sorted by one of `SORT_CHOICES` ("-cpu": largest first).

    `text` is looked for in names, addresses and descriptions.
    """
    found = Host.objects.visible_to(user)
    if site:
        found = found.filter(site__name=site)
    if tag:
        found = found.filter(tags__name=tag)
    if text:
        found = found.filter(
            Q(name__icontains=text)
            | Q(address__icontains=text)
            | Q(hostname__icontains=text)
            | Q(description__icontains=text)
        )
    rows = [row for row in with_figures(found) if not state or row.status.shown == state]
    rows.sort(key=_SORTS["name"])
    rows.sort(key=_SORTS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    return rows


def with_figures(hosts: QuerySet[Host]) -> list[HostFigures]:
    """The hosts with their site, tags, guest counts and newest figures: three queries, and one round to Redis."""
    present = Q(domains__gone_at=None, domains__isnull=False)
    active = present & Q(domains__state__in=ACTIVE_STATES)
    rows = (
        hosts.select_related("site")
        .prefetch_related("tags")
        .annotate(
            guest_count=Count("domains", filter=present, distinct=True),
            running_count=Count("domains", filter=active, distinct=True),
            given_vcpus=Sum("domains__vcpus", filter=active, default=0),
            given_kib=Sum("domains__max_memory_kib", filter=active, default=0),
        )
    )
    newest = ticks(host.pk for host in rows)
    return [
        HostFigures(
            host,
            status_of(host),
            host.guest_count,
            host.running_count,
            Given(host.given_vcpus, host.cpus, host.given_kib, host.memory_kib),
            newest.get(host.pk),
        )
        for host in rows
    ]


def sites_and_tags(user: User | AnonymousUser) -> tuple[list[str], list[str]]:
    """The names of the sites and tags that hosts have, for choosing among them."""
    hosts = Host.objects.visible_to(user)
    sites = Site.objects.all() if can_everywhere(user, Permission.VIEW) else Site.objects.filter(hosts__in=hosts)
    tags = Tag.objects.filter(hosts__in=hosts)
    return (
        list(sites.distinct().values_list("name", flat=True)),
        list(tags.distinct().values_list("name", flat=True)),
    )
