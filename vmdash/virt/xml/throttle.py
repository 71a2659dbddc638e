"""I/O limits of a guest's disks, as its definition says. Source: https://libvirt.org/formatdomain.html, "iotune"."""

from __future__ import annotations

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

_WORDS = {"all": "limit of {}", "reads": "limit of reads of {}", "writes": "limit of writes of {}"}


@dataclass(frozen=True, slots=True)
class Throttle:
    """One limit of one disk: bytes or operations per second. `counted` is one of the values of `LIMITS`."""

    disk: str
    counted: str
    value: float
    is_bytes: bool

    @property
    def words(self) -> str:
        return _WORDS[self.counted].format(self.disk)


def limits_of(disk: etree._Element) -> dict[str, int]:
    """Everything above 0 in the ``iotune`` of a disk, also how far bursts may go (``…_max``, ``…_max_length``)."""
    told = ((str(each.tag), xml.integer(each.text)) for each in disk.iterfind("./iotune/*"))
    return {name: value for name, value in told if value}


def throttles(definition: str) -> list[Throttle]:
    """Those of all disks; none when there is no definition yet, or it cannot be read."""
    try:
        root = xml.parse(definition) if definition else None
    except InvalidDefinition:
        root = None
    if root is None:
        return []
    found = []
    for disk in root.iterfind("./devices/disk"):
        target = disk.find("./target")
        name = target.get("dev", "") if target is not None else ""
        limits = limits_of(disk)
        found += [
            Throttle(name, counted, limits[key], "bytes" in key) for key, counted in LIMITS.items() if key in limits
        ]
    return found
