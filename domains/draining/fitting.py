"""Whether a guest can move to a host, by what the inventory and the newest checks know. Asks no host.

The migration itself looks again at everything: this decides what is worth trying.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from domains.arrived_paused import arrived_paused_obstacle, moves_once_only
from domains.draining.targets import Target
from domains.memory import too_little_memory
from domains.migration.check_job import CHECK
from domains.migration.lines import Level
from domains.migration.plan import How as DiskHow
from domains.migration.services import CHECK_HOLDS
from domains.models import Domain, DomainState, Snapshot
from domains.split_brain import split_brain_obstacle
from storage.models import Pool, Volume
from storage.selectors import is_shared
from vmdash.jobs.models import Job
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml import parse
from vmdash.virt.xml.domain import Disk, DomainDefinition


@dataclass(frozen=True, slots=True)
class Fit:
    """How a guest goes with a target. `obstacle` is a sentence, empty when nothing is in the way."""

    obstacle: str = ""
    copied: Mapping[str, int] = field(default_factory=dict)
    """Bytes that are copied, by pool of the target."""
    copied_disks: int = 0
    unknown: str = ""
    """What nobody can tell before it is tried, in a clause."""
    checked_at: datetime | None = None
    """When a check said so; None: only the inventory did."""


class Fitting:
    """For a set of guests, with their hosts. The number of queries does not grow with guests times targets."""

    def __init__(self, guests: Sequence[Domain], *, use_checks: bool = True) -> None:
        keys = [guest.pk for guest in guests]
        self._checks = _recent_checks(guests) if use_checks else {}
        self._snapshots = set(Snapshot.objects.filter(domain__in=keys).values_list("domain", flat=True))
        self._definitions = {guest.pk: _definition(guest) for guest in guests}
        hosts = {guest.host_id for guest in guests}
        self._pools: dict[int, list[Pool]] = defaultdict(list)
        for pool in Pool.objects.filter(host__in=hosts):
            self._pools[pool.host_id].append(pool)
        self._volumes = self._load_volumes(guests)
        self._shared: dict[tuple[int, str, int], bool] = {}

    def _load_volumes(self, guests: Sequence[Domain]) -> dict[tuple[int, str], Volume]:
        """By host and path, or host and `POOL/VOLUME`."""
        sources = {disk.source for guest in guests for disk in self._disks(guest) if disk.source}
        names = {source.partition("/")[2] for source in sources if not source.startswith("/")}
        volumes = Volume.objects.filter(pool__host__in={guest.host_id for guest in guests}).select_related("pool")
        found: dict[tuple[int, str], Volume] = {}
        for volume in [*volumes.filter(path__in=sources), *volumes.filter(name__in=names)]:
            found[volume.pool.host_id, volume.path] = volume
            found[volume.pool.host_id, f"{volume.pool.name}/{volume.name}"] = volume
        return found

    def _disks(self, guest: Domain) -> Sequence[Disk]:
        definition = self._definitions[guest.pk]
        return definition.disks if definition else ()

    def stuck(self, guest: Domain) -> str:
        """Why it cannot move anywhere, in a sentence; empty when that depends on the target."""
        if reason := split_brain_obstacle(guest):
            return reason
        definition = self._definitions[guest.pk]
        if definition and guest.is_active:
            held = [f"{device.type} {device.source}".strip() for device in definition.host_devices]
            held += [f"network card {card.mac}" for card in definition.interfaces if card.type == "hostdev"]
            if held:
                return f"It holds {', '.join(held)} of its host."
        if reason := arrived_paused_obstacle(guest):
            return reason
        if guest.pk in self._snapshots:
            return "It has snapshots, which cannot move along."
        if not guest.is_active and guest.has_managed_save:
            return "Its saved memory would stay behind."
        return ""

    def fit(self, guest: Domain, target: Target) -> Fit:
        host = target.host
        other = target.names.get(guest.name)
        if other is not None and other != str(guest.pk):
            return Fit(f"{host.name} has another guest named {guest.name}.")
        if guest.state == DomainState.PAUSED and (moves_once_only(guest.host) or moves_once_only(host)):
            return Fit(f"It is paused, and QEMU before 10.0 could not move it back from {host.name} before it ran.")
        if guest.is_active and guest.max_memory_kib > target.usable_kib:
            return Fit(too_little_memory(host, target.free_kib, guest))
        checked = self._checks.get(guest.pk, {}).get(str(host.pk))
        found = _as_checked(host.name, *checked) if checked else self._by_inventory(guest, target)
        for pool, size in found.copied.items():
            if size > target.free_bytes.get(pool, size):
                return Fit(f"{host.name} has too little room left in pool {pool} for its disks.")
        return found

    def _by_inventory(self, guest: Domain, target: Target) -> Fit:
        host, definition = target.host, self._definitions[guest.pk]
        if guest.arch and host.arch and guest.arch != host.arch:
            return Fit(f"{host.name} is {host.arch}, and it needs {guest.arch}.")
        if definition is None:
            return Fit(unknown="its definition has not been read")
        mine, its = guest.host.cpu_model, host.cpu_model
        if guest.is_active and mine and its and mine != its and _sees_host_cpu(guest):
            return Fit(f"{host.name} has another CPU ({its}), and it sees its host's own ({mine}).")
        networks = {network["name"]: network["active"] for network in host.networks}
        for card in definition.interfaces:
            if networks and card.type == "network" and not networks.get(card.source):
                return Fit(f"{host.name} has no active network {card.source}.")
        return self._storage(guest, target)

    def _storage(self, guest: Domain, target: Target) -> Fit:
        copied: dict[str, int] = {}
        count, unknown = 0, ""
        for disk in self._disks(guest):
            if not disk.source or disk.type == "network":
                continue
            if guest.host_id not in self._pools or not target.pools:
                unknown = "whether both hosts reach its disks has not been read"
                continue
            volume = self._volumes.get((guest.host_id, disk.source))
            path = volume.path if volume else disk.source
            if self._is_shared(guest, path, target):
                continue
            if disk.device in ("cdrom", "floppy") or disk.readonly:
                if not Volume.objects.filter(pool__host=target.host, path=path).exists():
                    return Fit(f"{target.host.name} has no {path}, which its drive {disk.target} reads.")
                continue
            obstacle, pool = self._place(guest, disk, path, volume, target)
            if obstacle or pool is None:
                return Fit(obstacle)
            count += 1
            copied[pool.name] = copied.get(pool.name, 0) + _size(volume)
        return Fit(copied=copied, copied_disks=count, unknown=unknown)

    def _place(
        self, guest: Domain, disk: Disk, path: str, volume: Volume | None, target: Target
    ) -> tuple[str, Pool | None]:
        """Where a copy of the disk goes, as `domains.migration.plan` chooses; or what is in the way."""
        name = target.host.name
        if disk.type not in ("file", "block", "volume"):
            return f"{name} does not reach its disk {disk.target}, and disks of type {disk.type} are not copied.", None
        if disk.shareable:
            return f"{name} does not reach its disk {disk.target}, which several guests share.", None
        if volume and volume.backing_path and not guest.is_active:
            return f"{name} does not reach {volume.backing_path}, on which its disk {disk.target} stands.", None
        folder = posixpath.dirname(path)
        here = next((pool for pool in self._pools[guest.host_id] if pool.path == folder), None)
        running = [pool for pool in target.pools if pool.state == Pool.State.RUNNING and pool.path]
        alike = [pool for pool in running if pool.path == folder]
        alike += [pool for pool in running if here and pool.name == here.name]
        return ("", alike[0]) if alike else (f"{name} has no active storage pool for {folder}.", None)

    def _is_shared(self, guest: Domain, path: str, target: Target) -> bool:
        key = (guest.host_id, posixpath.dirname(path), target.host.pk)
        if key not in self._shared:
            self._shared[key] = is_shared(path, guest.host, target.host) is not None
        return self._shared[key]


def _definition(guest: Domain) -> DomainDefinition | None:
    try:
        return DomainDefinition.parse(guest.xml) if guest.xml else None
    except InvalidDefinition:
        return None


def _sees_host_cpu(guest: Domain) -> bool:
    cpu = parse(guest.xml).find("./cpu")
    return cpu is not None and cpu.get("mode") in ("host-passthrough", "maximum")


def _size(volume: Volume | None) -> int:
    if volume is None:
        return 0
    return volume.capacity_bytes if volume.format == "raw" else volume.allocation_bytes


def _recent_checks(guests: Sequence[Domain]) -> dict[Any, dict[str, tuple[Mapping[str, Any], datetime]]]:
    """What the newest check of each guest found, by target: only fresh ones, from where the guest still is."""
    hosts = {str(guest.pk): guest for guest in guests}
    checks = Job.objects.filter(
        kind=CHECK.name,
        target_kind="domain",
        target_id__in=hosts,
        state=Job.State.SUCCEEDED,
        finished_at__gt=timezone.now() - CHECK_HOLDS,
    )
    found: dict[Any, dict[str, tuple[Mapping[str, Any], datetime]]] = {}
    for check in checks.order_by("created_at"):
        guest = hosts[check.target_id]
        if check.finished_at and check.parameters["source"] == guest.host_id and check.finished_at > guest.state_since:
            for host, answer in check.result.get("targets", {}).items():
                found.setdefault(guest.pk, {})[host] = (answer, check.finished_at)
    return found


def _as_checked(name: str, answer: Mapping[str, Any], at: datetime) -> Fit:
    if answer["verdict"] == Level.FAILED:
        words = next(line["words"] for line in answer["lines"] if line["level"] == Level.FAILED)
        return Fit(words if name in words else f"{name}: {words}", checked_at=at)
    copied: dict[str, int] = {}
    count = 0
    for disk in answer["disks"]:
        if disk["how"] == DiskHow.COPIED:
            copied[disk["pool"]] = copied.get(disk["pool"], 0) + disk["allocation_bytes"]
            count += 1
    return Fit(copied=copied, copied_disks=count, checked_at=at)
