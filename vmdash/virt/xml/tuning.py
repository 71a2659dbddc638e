"""What can be given to a guest while it runs: vCPUs, memory, a share of the CPUs, and I/O limits of its disks.

Source: https://libvirt.org/formatdomain.html, "CPU Allocation", "Memory Allocation", "CPU Tuning" and "iotune".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any, Self

from lxml import etree

from vmdash.virt import xml
from vmdash.virt.xml.throttle import Limits, of_disks


@dataclass(frozen=True, slots=True)
class Tuning:
    """None, and a disk that is not among ``disks``: nothing is said about it, it stays as it is.

    ``cpu_shares`` 0: none of its own, so what the host gives to everybody. ``groups``: with which group a disk shares
    its limits, of those that are in one; where limits are to be set and nothing is said, it stays in the one it is in.
    """

    vcpus: int | None = None
    memory_kib: int | None = None
    cpu_shares: int | None = None
    disks: Mapping[str, Limits] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, definition: str) -> Self:
        """All that a definition says; of a guest that runs, what it has now. Raises InvalidDefinition."""
        root = xml.parse(definition)
        vcpu = root.find("./vcpu")
        memory = root.find("./currentMemory")
        size = xml.size_bytes(root.find("./memory") if memory is None else memory) or 0
        maximum = xml.integer(vcpu.text if vcpu is not None else None) or 1
        disks, groups = of_disks(root)
        return cls(
            vcpus=xml.integer(vcpu.get("current") if vcpu is not None else None) or maximum,
            memory_kib=size // 1024,
            cpu_shares=xml.integer(root.findtext("./cputune/shares")) or 0,
            disks=disks,
            groups=groups,
        )

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """From what `stored()` gave."""
        return cls(**stored)

    def stored(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "vcpus": self.vcpus,
            "memory_kib": self.memory_kib,
            "cpu_shares": self.cpu_shares,
            "disks": {target: dict(limits) for target, limits in self.disks.items()},
        } | ({"groups": dict(self.groups)} if self.groups else {})

    def about(self, other: Tuning) -> Tuning:
        """The part of this that `other` says anything about."""
        return Tuning(
            vcpus=None if other.vcpus is None else self.vcpus,
            memory_kib=None if other.memory_kib is None else self.memory_kib,
            cpu_shares=None if other.cpu_shares is None else self.cpu_shares,
            disks={target: limits for target, limits in self.disks.items() if target in other.disks},
            groups={target: group for target, group in self.groups.items() if target in other.disks},
        )

    def __bool__(self) -> bool:
        return self != Tuning()


@dataclass(frozen=True, slots=True)
class Tunings:
    """What a guest has ``now``, while it runs, and what its definition says for its ``next`` start."""

    now: Tuning = field(default_factory=Tuning)
    next: Tuning = field(default_factory=Tuning)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        return cls(Tuning.of(stored["now"]), Tuning.of(stored["next"]))

    def stored(self) -> dict[str, Any]:
        return {"now": self.now.stored(), "next": self.next.stored()}

    def about(self, other: Tunings) -> Tunings:
        return Tunings(self.now.about(other.now), self.next.about(other.next))


def lacks_balloon(definition: str) -> bool:
    """Whether somebody decided that memory cannot be taken and given while it runs. QEMU guests that say nothing get a
    balloon from libvirt, and others need none."""
    return xml.parse(definition).find("./devices/memballoon[@model='none']") is not None


def without_shares(definition: str) -> str:
    """The definition without CPU shares of its own; all else in it stays as it was. Raises InvalidDefinition."""
    root = xml.parse(definition)
    for section in root.findall("./cputune"):
        for shares in section.findall("./shares"):
            section.remove(shares)
        if not len(section):
            root.remove(section)
    return etree.tostring(root, encoding="unicode")


def virsh_commands(name: str, wanted: Tuning, *, live: bool, persistent: bool) -> str:
    """The same in a shell of the host, as one line."""
    flags = " --live" * live + " --config" * persistent
    commands = []
    if wanted.cpu_shares:
        commands.append(f"schedinfo {name} --set cpu_shares={wanted.cpu_shares}{flags}")
    elif wanted.cpu_shares == 0:
        commands.append(f"edit {name}")
    for target, limits in wanted.disks.items():
        options = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in limits.items())
        if options and (group := wanted.groups.get(target)):
            options += f" --group-name {quote(group)}"
        commands.append(f"blkdeviotune {name} {target} {options or '--total-bytes-sec 0 --total-iops-sec 0'}{flags}")
    if wanted.memory_kib is not None:
        commands.append(f"setmem {name} {wanted.memory_kib}{flags}")
    if wanted.vcpus is not None:
        commands.append(f"setvcpus {name} {wanted.vcpus}{flags}")
    return "; ".join(f"virsh {command}" for command in commands)
