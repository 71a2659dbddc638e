"""What is wrong with the placement of a guest in its host's cells, in sentences, and what would be right. Pure.

libvirt tells the cells that memory may come from, never where the pages are. So a guest without a memory policy is
only ever called spread, and everything says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vmdash.virt import cpuset
from vmdash.virt.xml.placement import Placement

LOCAL_DISTANCE = 10


@dataclass(frozen=True, slots=True)
class Cell:
    """Of a host. `distances` are to all cells, in their order; empty where they are not told."""

    number: int
    cpus: tuple[int, ...]
    memory_kib: int
    distances: tuple[int, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    headline: str
    advice: str


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
    return _pinned(guest, cell.cpus, guest.placement.mode or "strict", (cell.number,))


def best_cell(guest: GuestPlaces, cells: Sequence[Cell]) -> Cell | None:
    """The one with most of its vCPUs, among those in which it fits."""
    fitting = [cell for cell in cells if guest.vcpus <= len(cell.cpus) and guest.memory_kib <= cell.memory_kib]
    return max(
        fitting, key=lambda cell: (sum(cpu in cell.cpus for cpu in guest.places.values()), -cell.number), default=None
    )


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
