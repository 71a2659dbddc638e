"""What is wrong with the placement of a guest in its host's cells, in sentences, and what would be right. Pure.

libvirt tells the cells that memory may come from, never where the pages are. So a guest without a memory policy is
only ever called spread, and everything says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vmdash.formats import kib, percent
from vmdash.virt import cpuset
from vmdash.virt.xml.placement import Placement

LOCAL_DISTANCE = 10
BUSY_PERCENT, IDLE_PERCENT = 85, 40
"""CPUs of one cell are so busy, and those of another at most so."""
FULL_PERCENT, ROOMY_PERCENT = 5, 40
"""Of the memory of one cell at most so much is free, and of another's so much."""
MOST_HELD = 4
"""Guests that are named."""
NOWHERE_ELSE = ("strict", "restrictive")
"""Memory policies by which a guest gets nothing from other cells when its own are full."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Of a host. `distances` are to all cells, in their order; empty where they are not told. `free_kib` is None where
    it is not told; memory that holds cached files is not free in it, although it can be given back."""

    number: int
    cpus: tuple[int, ...]
    memory_kib: int
    distances: tuple[int, ...] = ()
    free_kib: int | None = None


@dataclass(frozen=True, slots=True)
class GuestPlaces:
    """What is known of a guest: `placement` is what is set, `places` where its vCPUs were seen last (CPU by vCPU)."""

    name: str
    vcpus: int
    memory_kib: int
    placement: Placement
    places: Mapping[int, int]


class Kind(StrEnum):
    AWAY = "away"
    """vCPUs are kept, or run, away from the cells that the memory must come from."""
    SPREAD = "spread"
    """vCPUs run in several cells although one has room for all of it."""
    UNEVEN = "uneven"
    """The CPUs of one cell of a host are busy while those of another have much to spare."""
    FULL = "full"
    """The memory of one cell of a host is full while another has much to spare."""


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    headline: str
    advice: str


@dataclass(frozen=True, slots=True)
class CellLoad:
    """How a cell does: `cpu` is used, percent of its CPUs; None where that is not told. `held` are the names of guests
    that are kept there by their pinning or memory policy."""

    number: int
    cpu: float | None
    free_kib: int
    total_kib: int
    held: tuple[str, ...] = ()

    @property
    def free(self) -> float | None:
        """Percent of its memory."""
        return 100 * self.free_kib / self.total_kib if self.total_kib else None


def uneven(loads: Sequence[CellLoad]) -> list[Finding]:
    """Cells of one host out of balance: at most one finding about CPUs and one about memory."""
    return [found for found in (_uneven_cpus(loads), _uneven_memory(loads)) if found]


def is_uneven(percents: Collection[float]) -> bool:
    """Of the CPUs of each cell, so much is used."""
    return len(percents) > 1 and max(percents) >= BUSY_PERCENT and min(percents) <= IDLE_PERCENT


def _uneven_cpus(loads: Sequence[CellLoad]) -> Finding | None:
    known = [(load.cpu, load) for load in loads if load.cpu is not None]
    if not is_uneven([cpu for cpu, _ in known]):
        return None
    (least, idle), (most, busy) = min(known, key=lambda one: one[0]), max(known, key=lambda one: one[0])
    headline = (
        f"The CPUs of cell {busy.number} are {percent(most)} busy, those of cell {idle.number} only {percent(least)}."
    )
    if not busy.held:
        advice = "The host's scheduler is free to even that out."
    else:
        advice = f"Place some of what is kept there in cell {idle.number}."
    return Finding(Kind.UNEVEN, headline, f"{_held(busy)} {advice}")


def _uneven_memory(loads: Sequence[CellLoad]) -> Finding | None:
    known = [(load.free, load) for load in loads if load.free is not None]
    if len(known) < 2:
        return None
    (least, full), (most, roomy) = min(known, key=lambda one: one[0]), max(known, key=lambda one: one[0])
    if least > FULL_PERCENT or most < ROOMY_PERCENT:
        return None
    headline = (
        f"Of the memory of cell {full.number} only {percent(least)} is free, of that of cell {roomy.number} "
        f"{percent(most)}."
    )
    return Finding(
        Kind.FULL,
        headline,
        f"New memory of what runs in cell {full.number} then comes from farther away, unless cached files give way: "
        f"libvirt counts these as used. {_held(full)}",
    )


def _held(load: CellLoad) -> str:
    if not load.held:
        return f"No guest is kept in cell {load.number} by its pinning or memory policy."
    more = f" and {len(load.held) - MOST_HELD} more" if len(load.held) > MOST_HELD else ""
    verb = "is" if len(load.held) == 1 else "are"
    return f"Kept in cell {load.number} {verb} {', '.join(load.held[:MOST_HELD])}{more}."


def cell_of(cells: Sequence[Cell], cpu: int) -> int | None:
    return next((cell.number for cell in cells if cpu in cell.cpus), None)


def find(guest: GuestPlaces, cells: Sequence[Cell]) -> Finding | None:
    """The worst that is wrong; None when nothing is, or nothing is known. A host with one cell has nothing to find."""
    if len(cells) < 2:
        return None
    return _away(guest, cells) or _spread(guest, cells)


def proposal(guest: GuestPlaces, cells: Sequence[Cell]) -> Placement | None:
    """What would put it right; None when nothing is wrong, or there is no room for it."""
    found = find(guest, cells)
    if found is None:
        return None
    if found.kind is Kind.AWAY:
        cpus = _cpus(cells, guest.placement.cells)
        return _pinned(guest, cpus, guest.placement.mode, guest.placement.cells)
    cell = best_cell(guest, cells)
    return None if cell is None else confined(guest, cell)


def confined(guest: GuestPlaces, cell: Cell) -> Placement:
    """All of it in one cell."""
    return _pinned(guest, cell.cpus, _mode_in_one_cell(guest), (cell.number,))


def shortage(guest: GuestPlaces, cell: Cell) -> str:
    """What speaks against having all of its memory in this cell; empty where nothing is known to."""
    if not is_short(guest, cell):
        return ""
    if _mode_in_one_cell(guest) in NOWHERE_ELSE:
        outcome = "it may not start, or the host may end it while it runs"
    else:
        outcome = "the rest of its memory comes from farther away"
    return (
        f"Cell {cell.number} has {kib(cell.free_kib)} of memory free, and {guest.name} may use "
        f"{kib(guest.memory_kib)}. Cached files count as used and can be given back; if they are not enough, {outcome}."
    )


def outgrows(guest: GuestPlaces, cell: Cell) -> bool:
    """It has more memory than the cell, and by its memory policy would get none from elsewhere."""
    return guest.memory_kib > cell.memory_kib and _mode_in_one_cell(guest) in NOWHERE_ELSE


def best_cell(guest: GuestPlaces, cells: Sequence[Cell]) -> Cell | None:
    """The one with most of its vCPUs, among those in which it fits: if there are any, those with so much memory free.
    Others are not left out, since cached files and the guest's own memory count as used: how much that is in each cell
    is not told."""
    large = [cell for cell in cells if guest.vcpus <= len(cell.cpus) and guest.memory_kib <= cell.memory_kib]
    roomy = [cell for cell in large if not is_short(guest, cell)]
    return max(
        roomy or large,
        key=lambda cell: (sum(cpu in cell.cpus for cpu in guest.places.values()), -cell.number),
        default=None,
    )


def _mode_in_one_cell(guest: GuestPlaces) -> str:
    return guest.placement.mode or "strict"


def is_short(guest: GuestPlaces, cell: Cell) -> bool:
    """Less is free than it may use. Not asked of a cell that its memory policy is for already: some of what is used
    there is its own then, and how much is not told."""
    if cell.free_kib is None or guest.placement.cells == (cell.number,):
        return False
    return cell.free_kib < guest.memory_kib


def _away(guest: GuestPlaces, cells: Sequence[Cell]) -> Finding | None:
    policy = guest.placement.cells
    near = set(_cpus(cells, policy))
    if not policy or not near:
        return None
    kept = [number for number, cpus in sorted(guest.placement.pins.items()) if cpus and not near.intersection(cpus)]
    if kept:
        pinned = {cpu for number in kept for cpu in guest.placement.pins[number]}
        others = sorted({cell for cpu in pinned if (cell := cell_of(cells, cpu)) is not None})
        headline = (
            f"{_vcpus(kept, guest.vcpus)} pinned to CPU {cpuset.text_of(pinned)} in {_cells(others)}, but its memory "
            f"comes from {_cells(policy)}."
        )
        return Finding(Kind.AWAY, headline, _cost(cells, others, policy))
    loose = [number for number, cpu in sorted(guest.places.items()) if cpu not in near]
    if loose:
        others = sorted({cell for number in loose if (cell := cell_of(cells, guest.places[number])) is not None})
        headline = (
            f"{_vcpus(loose, guest.vcpus, running=True)} in {_cells(others)}, but its memory comes from "
            f"{_cells(policy)}, and nothing keeps them there."
        )
        return Finding(Kind.AWAY, headline, _cost(cells, others, policy))
    return None


def _spread(guest: GuestPlaces, cells: Sequence[Cell]) -> Finding | None:
    if guest.placement.cells:
        return None
    used = sorted({cell for cpu in guest.places.values() if (cell := cell_of(cells, cpu)) is not None})
    if len(used) < 2 or best_cell(guest, cells) is None:
        return None
    return Finding(
        Kind.SPREAD,
        f"Its {guest.vcpus} vCPUs run in {_cells(used)}, although one cell has room for all of it.",
        "Some of what they read is then in the other cell, which takes longer. Where its memory really is, libvirt "
        "does not tell.",
    )


def _pinned(guest: GuestPlaces, cpus: Sequence[int], mode: str, cells: Sequence[int]) -> Placement:
    return Placement(
        pins={number: tuple(cpus) for number in range(guest.vcpus)}, emulator=tuple(cpus), mode=mode, cells=tuple(cells)
    )


def _cpus(cells: Sequence[Cell], numbers: Sequence[int]) -> list[int]:
    return sorted(cpu for cell in cells if cell.number in numbers for cpu in cell.cpus)


def _cost(cells: Sequence[Cell], here: Sequence[int], there: Sequence[int]) -> str:
    """What each access costs, by the host's own table of distances."""
    order = [cell.number for cell in cells]
    told = [
        cell.distances[order.index(number)]
        for cell in cells
        if cell.number in here and len(cell.distances) == len(order)
        for number in there
        if number in order
    ]
    if not told:
        return "Every access to its memory goes across cells."
    return (
        f"Every access to its memory goes across cells, which the host puts at a distance of {max(told)} instead of "
        f"{LOCAL_DISTANCE}."
    )


def _vcpus(numbers: Sequence[int], of: int, *, running: bool = False) -> str:
    if of == 1:
        return f"Its vCPU {'runs' if running else 'is'}"
    several = len(numbers) > 1
    verb = ("run" if several else "runs") if running else ("are" if several else "is")
    return f"vCPU{'s' if several else ''} {cpuset.text_of(numbers)} {verb}"


def _cells(numbers: Sequence[int]) -> str:
    return f"cell{'' if len(numbers) == 1 else 's'} {cpuset.text_of(numbers)}"
