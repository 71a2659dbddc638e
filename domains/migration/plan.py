"""What becomes of each disk of a guest that moves: both hosts have it, or it is copied, and where to."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from domains.migration.sharing import is_shared, pool_at
from vmdash.virt.errors import CallError, PoolBusy, PoolNotFound, VolumeNotFound

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.pool import Pool
    from vmdash.virt.xml.domain import Disk


class How(StrEnum):
    SHARED = "shared"
    """Both hosts reach it."""
    COPIED = "copied"
    EMPTY = "empty"
    """A drive without a medium."""
    STUCK = "stuck"
    """It can be neither reached nor copied, and `obstacle` says why."""


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """One disk. What is copied becomes the volume `volume` of the target's pool `pool`, at `path`."""

    target: str
    how: How
    source_path: str = ""
    why: str = ""
    """How vmdash knows that it is shared, in a clause."""
    path: str = ""
    pool: str = ""
    volume: str = ""
    format: str = ""
    capacity_bytes: int = 0
    allocation_bytes: int = 0
    free_bytes: int = 0
    """In the target's pool, when it was planned."""
    obstacle: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        return cls(**{**stored, "how": How(stored["how"])})

    def stored(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def copied(disks: Sequence[DiskPlan]) -> list[DiskPlan]:
    return [disk for disk in disks if disk.how is How.COPIED]


def plan_disks(source: HostConnection, target: HostConnection, guest: Guest, *, tag: str) -> list[DiskPlan]:
    """One plan per disk. `tag` makes the names of new volumes different from those that the pool has already.

    Raises VirtError when a host does not answer.
    """
    return [_plan(source, target, guest, disk, tag) for disk in guest.definition().disks]


def _plan(source: HostConnection, target: HostConnection, guest: Guest, disk: Disk, tag: str) -> DiskPlan:
    if not disk.source:
        return DiskPlan(disk.target, How.EMPTY)
    if disk.type == "network":
        return DiskPlan(disk.target, How.SHARED, disk.source, why="it is reached over the network")
    path = _path(source, disk)
    if path and (why := is_shared(source, target, path)):
        return DiskPlan(disk.target, How.SHARED, path, why=why)
    if disk.device in ("cdrom", "floppy") or disk.readonly:
        return _medium(target, disk, path)
    if disk.type not in ("file", "block", "volume") or not path:
        return _stuck(disk, f"disks of type {disk.type} cannot be copied", "Detach it, or put it on shared storage.")
    if disk.shareable:
        return _stuck(disk, "several guests share it", "Put it on storage that both hosts reach.")
    return _copy(source, target, guest, disk, path, tag)


def _path(source: HostConnection, disk: Disk) -> str:
    """Where it is on its host. A source that names a volume is looked up."""
    if disk.type != "volume":
        return disk.source
    pool, _, volume = disk.source.partition("/")
    try:
        return source.pool(pool).volume(volume).path()
    except CallError:
        return ""


def _medium(target: HostConnection, disk: Disk, path: str) -> DiskPlan:
    """An image that is only read must lie at the same place over there."""
    try:
        target.volume_at(path)
    except CallError:
        what = "the image in its drive" if disk.device == "cdrom" else "an image that is only read"
        return _stuck(disk, f"{what}, {path}, is not on {target.name}", "Eject it, or copy the image to the same path.")
    return DiskPlan(disk.target, How.SHARED, path, why="the same image lies at the same place over there")


def _copy(source: HostConnection, target: HostConnection, guest: Guest, disk: Disk, path: str, tag: str) -> DiskPlan:
    from vmdash.virt.migration import disk_bytes

    pool = _pool_for(source, target, path)
    if pool is None:
        folder = posixpath.dirname(path)
        return _stuck(
            disk, f"{target.name} has no active storage pool for {folder}", "Make and start one of the same name there."
        )
    with suppress(PoolBusy):  # it may not have seen yet what others put there
        pool.refresh()
    capacity, allocation = disk_bytes(guest, disk.target)
    facts = pool.facts()
    name = _free_name(pool, posixpath.basename(path), tag)
    image_format = disk.format or "raw"
    return DiskPlan(
        target=disk.target,
        how=How.COPIED,
        source_path=path,
        path=posixpath.join(facts.target_path, name),
        pool=pool.name,
        volume=name,
        format=image_format,
        capacity_bytes=capacity,
        allocation_bytes=capacity if image_format == "raw" else allocation,
        free_bytes=facts.available_bytes,
    )


def _pool_for(source: HostConnection, target: HostConnection, path: str) -> Pool | None:
    """The target's pool at the same folder, or else of the same name as the one that the disk is in."""
    folder = posixpath.dirname(path)
    if pool := pool_at(target, folder):
        return pool
    if (here := pool_at(source, folder)) is None:
        return None
    alike = [pool for pool in target.pools() if pool.name == here.name]
    return next((pool for pool in alike if pool.facts().state == "running" and pool.facts().target_path), None)


def _free_name(pool: Pool, name: str, tag: str) -> str:
    """The volume's own name, or one with `tag` when the pool has such a volume already."""
    try:
        pool.volume(name)
    except (VolumeNotFound, PoolNotFound):
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{tag}.{ending}" if dot else f"{name}-{tag}"


def _stuck(disk: Disk, obstacle: str, remedy: str) -> DiskPlan:
    return DiskPlan(disk.target, How.STUCK, disk.source, obstacle=obstacle, remedy=remedy)
