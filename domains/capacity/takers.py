"""The hosts that take the guests of one that failed: what becomes of their CPUs, by vCPUs and by measured use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domains.capacity.models import Resource
from domains.capacity.needs import Machine, Need
from domains.capacity.outlooks import FULL
from domains.capacity.words import cpus
from hosts.overcommit import ratio
from vmdash.formats import natural

CPU_RATIO = 4.0
"""With more vCPUs per CPU a host counts as crowded, unless somebody asks with another figure."""


@dataclass(slots=True)
class Taker:
    """A host and what comes to it. Being crowded or short of CPU keeps no guest away: CPU can be shared."""

    machine: Machine
    bar: float
    """vCPUs per CPU."""
    memory_ratio: float = 1.0
    """How far its memory may be given beyond what there is."""
    guests: int = 0
    memory_kib: int = 0
    vcpus: int = 0
    cpu_busy: float = 0.0
    """CPUs: the sum of what the guests that come needed, as `Park.used` has it, of those that were measured."""
    unmeasured: int = 0
    """How many guests were not, of those that come and those that are there."""

    @property
    def left_kib(self) -> int:
        """What it can still give then."""
        return self.machine.free_kib(self.memory_ratio) - self.memory_kib

    @property
    def before(self) -> float | None:
        """vCPUs per CPU; None where nobody knows how many CPUs it has."""
        return ratio(self.machine.vcpus, self.machine.cpus)

    @property
    def after(self) -> float | None:
        return ratio(self.machine.vcpus + self.vcpus, self.machine.cpus)

    @property
    def change(self) -> str:
        """vCPUs per CPU before and after; empty where they are not known."""
        return "" if self.before is None or self.after is None else f"{cpus(self.before)} → {cpus(self.after)}"

    @property
    def is_crowded(self) -> bool:
        return self.after is not None and self.after > self.bar

    @property
    def busy_after(self) -> float | None:
        """CPUs in use then, without guests that were not measured; None where the host was not."""
        return None if self.machine.cpu_busy is None else self.machine.cpu_busy + self.cpu_busy

    @property
    def fits(self) -> bool | None:
        """Whether the CPU that the guests used is there; None where too little was measured to tell."""
        if self.busy_after is None or not self.machine.cpus:
            return None
        if self.busy_after > FULL[Resource.CPU] * self.machine.cpus:
            return False
        return None if self.unmeasured else True

    @property
    def busy_change(self) -> str:
        """CPUs in use before and after, and how many there are; empty where that is not known."""
        if self.machine.cpu_busy is None or self.busy_after is None or not self.machine.cpus:
            return ""
        return f"{cpus(self.machine.cpu_busy)} → {cpus(self.busy_after)} of {self.machine.cpus}"

    @property
    def is_tight(self) -> bool:
        """By measured use; by vCPUs where that is not known."""
        return self.fits is False or (self.fits is None and self.is_crowded)

    @property
    def words(self) -> str:
        """What is the matter, empty when nothing is."""
        if self.fits is False:
            return f"short of CPU: {cpus(self.busy_after or 0)} of {self.machine.cpus} CPUs in use"
        if not self.is_crowded:
            return ""
        crowded = f"crowded: {cpus(self.after or 0)} vCPUs per CPU"
        return f"{crowded}, but what guests used is there" if self.fits else crowded


def takers_of(
    placed: Iterable[tuple[Need, Machine]], used: Mapping[str, float], bar: float, memory_ratio: float
) -> list[Taker]:
    """One for each host. `used` has the CPUs of guests that were measured, by their key."""
    found: dict[int, Taker] = {}
    for need, machine in placed:
        taker = found.get(machine.pk)
        if taker is None:
            taker = found[machine.pk] = Taker(machine, bar, memory_ratio, unmeasured=machine.unmeasured)
        taker.guests += 1
        taker.memory_kib += need.memory_kib
        taker.vcpus += need.vcpus
        busy = used.get(need.key)
        if busy is None:
            taker.unmeasured += 1
        else:
            taker.cpu_busy += busy
    return list(found.values())


def by_name(takers: Iterable[Taker]) -> list[Taker]:
    return sorted(takers, key=lambda taker: natural(taker.machine.name))
