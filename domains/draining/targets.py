"""The hosts that guests can be moved to, and how much of each an unfinished plan has given away already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import Sum

from domains.actions import host_obstacle
from domains.figures import is_fresh
from domains.memory import free_kib
from domains.migration.checks import SPARE_MEMORY
from domains.models import ACTIVE_STATES, Domain
from hosts.connect import migration_uri
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from storage.models import Pool
from vmdash.access.roles import Permission
from vmdash.live import cache

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.live.messages import Tick


@dataclass(slots=True)
class Target:
    """One host. `free_kib` and `free_bytes` become less with each guest that is planned to go there."""

    host: Host
    total_kib: int
    free_kib: int
    measured: bool
    """Its memory was measured; otherwise its guests' definitions are added up."""
    pools: list[Pool]
    names: dict[str, str]
    """The UUID of each guest there, by name."""
    free_bytes: dict[str, int] = field(default_factory=dict)
    """By name of its pools."""
    guests: int = 0
    """Planned to come."""

    @property
    def usable_kib(self) -> int:
        """What guests may take so that the host itself keeps room to work."""
        return self.free_kib - round(SPARE_MEMORY * self.total_kib)

    def give(self, guest: Domain, memory_kib: int, copied: dict[str, int]) -> None:
        self.guests += 1
        self.free_kib -= memory_kib
        self.names[guest.name] = str(guest.pk)
        for pool, size in copied.items():
            self.free_bytes[pool] = self.free_bytes.get(pool, 0) - size


@dataclass(frozen=True, slots=True)
class Excluded:
    """A host that no guest can be moved to, and why, in a sentence."""

    host: Host
    reason: str


def other_hosts(host: Host, user: User) -> tuple[list[Target], list[Excluded]]:
    """Where guests of `host` might go at all. A fixed number of queries."""
    others = list(Host.objects.open_to(user, Permission.MIGRATE).exclude(pk=host.pk))
    reasons = {other.pk: _why_not(host, other) for other in others}
    excluded = [Excluded(other, reasons[other.pk]) for other in others if reasons[other.pk]]
    return targets_of([other for other in others if not reasons[other.pk]]), excluded


def _why_not(host: Host, other: Host) -> str:
    if other.driver != host.driver:
        return f"It has another hypervisor: {other.get_driver_display()}."
    if reason := host_obstacle(other, "It"):
        return reason
    if reason := maintenance_obstacle(other):
        return reason
    if host.host_uuid and host.host_uuid == other.host_uuid:
        return f"It is the same machine as {host.name}."
    if not migration_uri(other):
        return "Nothing leads to it from other hosts. Give it a migration URI on its page."
    return ""


def targets_of(hosts: Iterable[Host]) -> list[Target]:
    hosts = list(hosts)
    ticks = cache.ticks([host.pk for host in hosts])
    present = Domain.objects.present().filter(host__in=hosts)
    used = dict(
        present.filter(state__in=ACTIVE_STATES)
        .order_by()
        .values_list("host")
        .annotate(memory=Sum("max_memory_kib"))
        .values_list("host", "memory")
    )
    names: dict[int, dict[str, str]] = {host.pk: {} for host in hosts}
    for host_id, name, uuid in present.values_list("host", "name", "uuid"):
        names[host_id][name] = str(uuid)
    pools: dict[int, list[Pool]] = {host.pk: [] for host in hosts}
    for pool in Pool.objects.filter(host__in=hosts).select_related("storage"):
        pools[pool.host_id].append(pool)
    return [_target(host, ticks.get(host.pk), used.get(host.pk) or 0, pools[host.pk], names[host.pk]) for host in hosts]


def _target(host: Host, tick: Tick | None, used_kib: int, pools: list[Pool], names: dict[str, str]) -> Target:
    sample = tick["sample"] if tick and is_fresh(tick) else None
    total, free, measured = host.memory_kib, host.memory_kib - used_kib, False
    left = free_kib(sample)
    if sample and sample["mem_total"] and left is not None:
        total, free, measured = sample["mem_total"], left, True
    return Target(host, total, free, measured, pools, names, {pool.name: pool.available_bytes for pool in pools})
