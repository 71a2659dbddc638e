"""Each host fails on paper: where would its guests go, and which would not come back?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from domains.capacity.needs import OWN, UNKNOWN, Machine, Need, Park, why_not
from domains.capacity.placing import pack
from domains.capacity.takers import CPU_RATIO, Taker, by_name, takers_of
from domains.capacity.words import cpus
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
    takers: list[Taker] = field(default_factory=list)
    """The hosts that guests go to."""
    tight: list[Taker] = field(default_factory=list)
    """Those that would have too little CPU, by measured use, or by vCPUs where that is not known; by name."""

    @property
    def guests(self) -> int:
        return len(self.placed) + len(self.stranded)

    @property
    def survives(self) -> bool:
        return not self.stranded

    @property
    def look(self) -> str:
        return "bad" if self.stranded else "warn" if self.uncertain or self.tight else "ok"

    @property
    def crowded(self) -> list[Taker]:
        """Hosts that would have more vCPUs per CPU than is good, whatever guests use."""
        return [taker for taker in self.takers if taker.is_crowded]

    @property
    def takers_by_name(self) -> list[Taker]:
        return by_name(self.takers)

    @property
    def cpu_fits(self) -> bool | None:
        """Whether the CPU that guests used is there wherever they go; None where they go nowhere, or too little was
        measured to tell."""
        found = {taker.fits for taker in self.takers}
        return False if False in found else None if None in found or not found else True

    @property
    def cpu_words(self) -> str:
        """What is the matter with CPU on the hosts that take over, empty when nothing is."""
        tight = self.tight
        if len(tight) == 1:
            return f"{tight[0].machine.name} {tight[0].words}"
        short = sum(taker.fits is False for taker in tight)
        crowded = [taker.after or 0.0 for taker in tight if taker.fits is None]
        found = [f"{_hosts(short)} short of CPU"] if short else []
        if crowded:
            found.append(f"{_hosts(len(crowded))} crowded: up to {cpus(max(crowded))} vCPUs per CPU")
        return ", ".join(found)

    @property
    def verdict(self) -> str:
        cpu = f"; {self.cpu_words}" if self.tight else ""
        return f"{self._places}{cpu}"

    @property
    def _places(self) -> str:
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
        if self.tight:
            return "short of CPU" if any(taker.fits is False for taker in self.tight) else "crowded"
        return "storage not known" if self.uncertain else "all placed"

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why guests are left, the most frequent reason first."""
        return Counter(one.why for one in self.stranded).most_common()


def _guests(number: int) -> str:
    return f"{number} guest" if number == 1 else f"{number} guests"


def _hosts(number: int) -> str:
    return f"{number} host" if number == 1 else f"{number} hosts"


def fail(park: Park, pk: int, *, ratio: float = 1.0, cpu_ratio: float = CPU_RATIO) -> Failure:
    """Take one host away. `ratio` is how far memory may be given beyond what there is; with more than `cpu_ratio` vCPUs
    per CPU a host is crowded."""
    return _fail(park, pk, free_memory(park, ratio), free_vcpus(park, cpu_ratio), ratio, cpu_ratio)


def fail_each(park: Park, *, ratio: float = 1.0, cpu_ratio: float = CPU_RATIO) -> list[Failure]:
    """In the order of the hosts' names."""
    free, vcpus = free_memory(park, ratio), free_vcpus(park, cpu_ratio)
    found = [_fail(park, pk, free, vcpus, ratio, cpu_ratio) for pk in park.machines]
    return sorted(found, key=lambda failure: formats.natural(failure.machine.name))


def _fail(
    park: Park, pk: int, free: Mapping[int, int], vcpus: Mapping[int, float], ratio: float, cpu_ratio: float
) -> Failure:
    others = {host: room for host, room in free.items() if host != pk}
    packing = pack(park.needs.get(pk, []), others, park.possible, vcpus)
    placed = [(need, park.machines[host]) for need, host in packing.placed]
    takers = takers_of(placed, park.used, cpu_ratio, ratio)
    return Failure(
        park.machines[pk],
        placed,
        [Stranded(need, why_stranded(park, need)) for need in packing.unplaced],
        sum(UNKNOWN in need.demand[4] for need, _ in placed),
        takers,
        by_name(taker for taker in takers if taker.is_tight),
    )


def free_memory(park: Park, ratio: float = 1.0) -> dict[int, int]:
    """Of the hosts on which guests can start."""
    return {pk: machine.free_kib(ratio) for pk, machine in park.machines.items() if not machine.obstacle}


def free_vcpus(park: Park, cpu_ratio: float) -> dict[int, float]:
    """How many vCPUs each host may get until it is crowded; without those whose CPUs are not known."""
    return {pk: machine.cpus * cpu_ratio - machine.vcpus for pk, machine in park.machines.items() if machine.cpus}


def why_stranded(park: Park, need: Need) -> str:
    others = [machine for pk, machine in park.machines.items() if pk != need.host]
    if OWN in need.demand[4]:
        return "Its disks are on storage that no other host is known to reach."
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
