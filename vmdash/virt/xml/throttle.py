"""I/O limits of a guest's disks, as its definition says. Source: https://libvirt.org/formatdomain.html, "iotune".

Disks with one ``group_name`` share their limits, which hold for all of them together, within one guest. What libvirt
makes of it (qemu_driver.c, qemuDomainSetBlockIoTune): limits that are set on one disk are set on all of its group; a
disk all of whose limits are taken away leaves the group, and the others keep theirs; a disk of a group whose ``iotune``
has no limits has those of the others. QEMU counts what the disks of a group do together (docs/throttle.txt).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from vmdash.virt import xml
from vmdash.virt.errors import InvalidDefinition

LIMITS = {
    "total_bytes_sec": "all",
    "read_bytes_sec": "reads",
    "write_bytes_sec": "writes",
    "total_iops_sec": "all",
    "read_iops_sec": "reads",
    "write_iops_sec": "writes",
}
"""The limits of a disk, and what they count. Bytes or operations per second; 0 and missing: none."""

Limits = Mapping[str, int]
"""By libvirt's name, such as ``read_bytes_sec``; what is missing has no limit."""

GROUP = "group_name"
_WORDS = {"all": "limit of {}", "reads": "limit of reads of {}", "writes": "limit of writes of {}"}


@dataclass(frozen=True, slots=True)
class Held:
    """Limits that hold for these disks together. ``group`` is empty for a disk that shares them with no other."""

    disks: tuple[str, ...]
    group: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Throttle:
    """One limit: bytes or operations per second of these disks together, see `Held`. ``counted`` is one of the values
    of `LIMITS`."""

    disks: tuple[str, ...]
    group: str
    counted: str
    value: float
    is_bytes: bool

    @property
    def words(self) -> str:
        disks = ", ".join(self.disks)
        return _WORDS[self.counted].format(f"group {self.group} ({disks})" if self.group else disks)


def limits_of(disk: etree._Element) -> dict[str, int]:
    """Everything above 0 in the ``iotune`` of a disk, also how far bursts may go (``…_max``, ``…_max_length``)."""
    told = ((str(each.tag), xml.integer(each.text)) for each in disk.iterfind("./iotune/*") if each.tag != GROUP)
    return {name: value for name, value in told if value}


def group_of(disk: etree._Element) -> str:
    """The group with which it shares its limits; empty: none."""
    return disk.findtext(f"./iotune/{GROUP}", "")


def together(target: str, groups: Mapping[str, str]) -> tuple[str, ...]:
    """The disks that share the limits of this one, which is among them. ``groups``: that of each disk in one."""
    group = groups.get(target)
    return tuple(one for one, its in groups.items() if its == group) if group else (target,)


def shared(limits: Mapping[str, Limits], groups: Mapping[str, str]) -> dict[str, Limits]:
    """The limits that hold for each disk: one that is in a group and has none of its own has those of the others."""
    of_groups = {group: its for target, group in groups.items() if (its := limits.get(target))}
    return {target: its or of_groups.get(groups.get(target, ""), its) for target, its in limits.items()}


def held(limits: Mapping[str, Limits], groups: Mapping[str, str]) -> Iterator[Held]:
    """The limits of disks, each set once, with those that it holds for. ``groups``: that of each disk in one."""
    told: set[tuple[str, ...]] = set()
    for target, its in limits.items():
        disks = together(target, groups)
        if its and disks not in told:
            told.add(disks)
            yield Held(disks, groups[target] if len(disks) > 1 else "", its)


def throttles(definition: str) -> list[Throttle]:
    """Those of all disks; none when there is no definition yet, or it cannot be read."""
    try:
        root = xml.parse(definition) if definition else None
    except InvalidDefinition:
        root = None
    if root is None:
        return []
    limits, groups = of_disks(root)
    return [
        Throttle(one.disks, one.group, counted, one.limits[key], "bytes" in key)
        for one in held(limits, groups)
        for key, counted in LIMITS.items()
        if key in one.limits
    ]


def of_disks(root: etree._Element) -> tuple[dict[str, Limits], dict[str, str]]:
    """The limits that hold for each disk of a definition, see `shared`, and the group of each that is in one."""
    disks = {
        target.get("dev", ""): disk
        for disk in root.iterfind("./devices/disk")
        if (target := disk.find("./target")) is not None
    }
    groups = {target: group for target, disk in disks.items() if (group := group_of(disk))}
    return shared({target: limits_of(disk) for target, disk in disks.items()}, groups), groups
