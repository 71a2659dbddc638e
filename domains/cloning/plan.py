"""What becomes of each disk of a guest that is cloned. Decided by its definition, for pages and workers alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domains.models import Domain
from storage.models import Volume
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.domain import Disk, DomainDefinition


class Fate(StrEnum):
    """What the clone gets in the place of a disk."""

    COPY = "copy"
    """An image of its own."""
    SHARE = "share"
    """The same one: nobody writes to it, or it is meant to be written by several."""
    EMPTY = "empty"
    REFUSE = "refuse"
    """There is no way: the guest cannot be cloned."""


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """`why` completes "vda …" for what is not copied. `volume` is its row; None where storage has not been read yet."""

    disk: Disk
    fate: Fate
    why: str
    volume: Volume | None = None

    @property
    def target(self) -> str:
        return self.disk.target

    @property
    def is_copied(self) -> bool:
        return self.fate is Fate.COPY

    @property
    def content_bytes(self) -> int:
        """What a full clone has to copy, as far as is known."""
        return self.volume.allocation_bytes if self.volume else 0


_UNCOPYABLE = {
    "network": "is on the network: vmdash copies it only as a volume of a storage pool",
    "dir": "is a folder of the host",
    "nvme": "is a device of the host",
    "vhostuser": "is served by a program on the host",
}


def fate_of(disk: Disk) -> tuple[Fate, str]:
    """What becomes of the disk, and why."""
    if not disk.source:
        return Fate.EMPTY, "is empty"
    if disk.device in ("cdrom", "floppy"):
        return Fate.SHARE, "is shared: it is only read"
    if disk.readonly:
        return Fate.SHARE, "is shared: it is only read"
    if disk.shareable:
        return Fate.SHARE, "is shared: it is meant to be used by several guests"
    if disk.device == "lun":
        return Fate.REFUSE, "is a SCSI device passed through: its content belongs to the device"
    if why := _UNCOPYABLE.get(disk.type):
        return Fate.REFUSE, why
    return Fate.COPY, ""


def disks_of(domain: Domain) -> list[DiskPlan]:
    """The plan for each disk, in the definition's order. Two queries. Empty while the definition has not been read."""
    definition = definition_of(domain)
    if definition is None:
        return []
    volumes = _volumes(domain, definition.disks)
    return [_plan(disk, volumes.get(disk.source)) for disk in definition.disks]


def definition_of(domain: Domain) -> DomainDefinition | None:
    """The definition of its next start; None while it has not been read, or cannot be."""
    try:
        return DomainDefinition.parse(domain.xml) if domain.xml else None
    except InvalidDefinition:
        return None


def _plan(disk: Disk, volume: Volume | None) -> DiskPlan:
    fate, why = fate_of(disk)
    if fate is Fate.COPY and volume is not None and volume.encrypted:
        fate, why = Fate.REFUSE, "is encrypted: a copy would need its secret"
    return DiskPlan(disk, fate, why, volume)


def _volumes(domain: Domain, disks: Sequence[Disk]) -> dict[str, Volume]:
    """The volumes of the guest's host that the disks are, by what the definition calls them."""
    volumes = Volume.objects.filter(pool__host=domain.host_id).select_related("pool__storage")
    found = {one.path: one for one in volumes.filter(path__in=[disk.source for disk in disks if disk.source])}
    for disk in disks:
        if disk.type == "volume":
            pool, _, name = disk.source.partition("/")
            if (one := volumes.filter(pool__name=pool, name=name).first()) is not None:
                found[disk.source] = one
    return found
