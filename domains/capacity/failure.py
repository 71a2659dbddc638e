"""Each host fails on paper: where would its guests go, and which would not come back?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from domains.capacity.needs import OWN, UNKNOWN, Machine, Need, Park, why_not
from domains.capacity.placing import pack
from vmdash import formats


@dataclass(frozen=True, slots=True)
class Stranded:
    """A guest that finds no place, and why, in a sentence."""

    need: Need
    why: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What becomes of the guests of one host."""

    machine: Machine
    placed: list[tuple[Need, Machine]] = field(default_factory=list)
    stranded: list[Stranded] = field(default_factory=list)
    uncertain: int = 0
    """Guests with a place in memory, of whose disks nobody knows whether another host reaches them."""

    @property
    def guests(self) -> int:
        return len(self.placed) + len(self.stranded)

    @property
    def survives(self) -> bool:
        return not self.stranded

    @property
    def look(self) -> str:
        return "bad" if self.stranded else "warn" if self.uncertain else "ok"

    @property
    def verdict(self) -> str:
        if not self.guests:
            return "Nothing runs there"
        if self.stranded:
            return f"{_guests(len(self.stranded))} of {self.guests} would not come back"
        if self.uncertain:
            return f"Room for all; of {self.uncertain} the storage is not known"
        return "All guests have a place" if self.guests > 1 else "Its guest has a place"

    @property
    def short(self) -> str:
        """The verdict for a narrow column."""
        if not self.guests:
            return "empty"
        if self.stranded:
            return f"{len(self.stranded)} of {self.guests} lost"
        return "storage not known" if self.uncertain else "all placed"

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why guests are left, the most frequent reason first."""
        return Counter(one.why for one in self.stranded).most_common()

    @property
    def targets(self) -> list[tuple[Machine, int, int]]:
        """Where guests go: the host, how many, and their memory."""
        found: dict[int, list[Need]] = {}
        machines = {machine.pk: machine for _, machine in self.placed}
        for need, machine in self.placed:
            found.setdefault(machine.pk, []).append(need)
        rows = [(machines[pk], len(needs), sum(need.memory_kib for need in needs)) for pk, needs in found.items()]
        return sorted(rows, key=lambda row: formats.natural(row[0].name))


def _guests(number: int) -> str:
    return f"{number} guest" if number == 1 else f"{number} guests"


def fail(park: Park, pk: int, *, ratio: float = 1.0, free: Mapping[int, int] | None = None) -> Failure:
    """Take one host away. `ratio` is how far memory may be given beyond what there is."""
    if free is None:
        free = free_memory(park, ratio)
    needs = park.needs.get(pk, [])
    packing = pack(needs, {host: room for host, room in free.items() if host != pk}, park.possible)
    return Failure(
        park.machines[pk],
        [(need, park.machines[host]) for need, host in packing.placed],
        [Stranded(need, why_stranded(park, need)) for need in packing.unplaced],
        sum(UNKNOWN in need.demand[4] for need, _ in packing.placed),
    )


def fail_each(park: Park, *, ratio: float = 1.0) -> list[Failure]:
    """In the order of the hosts' names."""
    free = free_memory(park, ratio)
    found = [fail(park, pk, ratio=ratio, free=free) for pk in park.machines]
    return sorted(found, key=lambda failure: formats.natural(failure.machine.name))


def free_memory(park: Park, ratio: float = 1.0) -> dict[int, int]:
    """Of the hosts on which guests can start."""
    return {pk: machine.free_kib(ratio) for pk, machine in park.machines.items() if not machine.obstacle}


def why_stranded(park: Park, need: Need) -> str:
    others = [machine for pk, machine in park.machines.items() if pk != need.host]
    if OWN in need.demand[4]:
        return "Its disks are on storage that only its own host reaches."
    if park.possible(need):
        return "No host that could take it has enough memory left."
    if not others:
        return "There is no other host."
    if all(machine.obstacle for machine in others):
        return "No other host is ready for guests."
    reasons = Counter(
        reason for machine in others if not machine.obstacle and (reason := why_not(need.demand, machine))
    )
    return f"No other host {reasons.most_common(1)[0][0]}." if reasons else "No other machine could take it."
