"""I/O limits of a guest's disks, as its definition says. Source: https://libvirt.org/formatdomain.html, "iotune"."""

from __future__ import annotations

from dataclasses import dataclass

from vmdash.virt import xml
from vmdash.virt.errors import InvalidDefinition

_WORDS = {
    "total_bytes_sec": "limit of {}",
    "read_bytes_sec": "limit of reads of {}",
    "write_bytes_sec": "limit of writes of {}",
    "total_iops_sec": "limit of {}",
    "read_iops_sec": "limit of reads of {}",
    "write_iops_sec": "limit of writes of {}",
}


@dataclass(frozen=True, slots=True)
class Throttle:
    """One limit of one disk: bytes or operations per second."""

    words: str
    value: float
    is_bytes: bool


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
        for key, words in _WORDS.items():
            if value := xml.integer(disk.findtext(f"./iotune/{key}")):
                found.append(Throttle(words.format(name), value, "bytes" in key))
    return found
