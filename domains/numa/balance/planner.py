"""Which guests of a host to put into which cell, so that no cell is busy while another has much to spare. Pure.

Only CPU time counts: memory that a guest has does not come along while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from domains.numa.findings import Cell, GuestPlaces, Kind, cell_of, find, is_short, is_uneven
from vmdash.virt import cpuset
from vmdash.virt.xml.placement import MOVABLE_MODE, Placement


@dataclass(frozen=True, slots=True)
class Candidate:
    """A guest that runs. Its memory policy has the mode of its definition. `cpu` is used, percent of its vCPUs; None
    where that is not known."""

    uuid: UUID
    places: GuestPlaces
    cpu: float | None

    def used_in(self, cells: Sequence[Cell]) -> dict[int, float]:
        """How many CPUs' time it uses in each cell that its vCPUs were seen in."""
        seen = [cell for cpu in self.places.places.values() if (cell := cell_of(cells, cpu)) is not None]
        used = self.places.vcpus * (self.cpu or 0) / 100
        return {cell: used * seen.count(cell) / len(seen) for cell in set(seen)}


@dataclass(frozen=True, slots=True)
class Move:
    """`cell` is where it is put."""

    candidate: Candidate
    cell: Cell


@dataclass(frozen=True, slots=True)
class Proposal:
    """`before` and `after` are CPU used, percent of each cell's. `staying` are guests in the busiest cell that are left
    alone, and why."""

    moves: Sequence[Move]
    before: Mapping[int, float]
    after: Mapping[int, float]
    staying: Mapping[UUID, str]


def propose(cells: Sequence[Cell], before: Mapping[int, float], candidates: Sequence[Candidate]) -> Proposal:
    """As few guests as possible: each time the one that relieves the busiest cell most without filling another as much,
    until the cells are in balance or nothing makes it better. `before` has the cells of which it is known."""
    now = {cell.number: cell for cell in cells}
    after = {number: percent for number, percent in before.items() if number in now and now[number].cpus}
    left, moves = list(candidates), list[Move]()
    while is_uneven(after.values()):
        busiest = max(after, key=lambda number: after[number])
        steps = [
            _Step(one, cell, _after(one, cell, after, list(now.values())))
            for one in left
            if one.used_in(cells).get(busiest)
            for cell in _open_to(one, list(now.values()))
            if cell.number != busiest and cell.number in after
        ]
        better = [step for step in steps if step.worst(busiest) < after[busiest]]
        if not better:
            break
        best = min(better, key=lambda step: (step.worst(busiest), step.one.places.name, step.cell.number))
        after = best.after
        left.remove(best.one)
        moves.append(Move(best.one, best.cell))
        now[best.cell.number] = _with(best.one.places, best.cell)
    return Proposal(moves, {number: before[number] for number in after}, after, dict(_staying(left, cells, after)))


@dataclass(frozen=True, slots=True)
class _Step:
    one: Candidate
    cell: Cell
    after: dict[int, float]

    def worst(self, busiest: int) -> float:
        return max(self.after[busiest], self.after[self.cell.number])


def _after(one: Candidate, cell: Cell, load: Mapping[int, float], cells: Sequence[Cell]) -> dict[int, float]:
    used = one.used_in(cells)
    came = {cell.number: sum(used.values())}
    cpus = {each.number: len(each.cpus) for each in cells}
    return {
        number: max(0.0, percent + 100 * (came.get(number, 0.0) - used.get(number, 0.0)) / cpus[number])
        for number, percent in load.items()
    }


def _with(guest: GuestPlaces, cell: Cell) -> Cell:
    """The cell once the guest's memory comes from it."""
    if cell.free_kib is None or guest.placement.cells == (cell.number,):
        return cell
    return replace(cell, free_kib=cell.free_kib - guest.memory_kib)


def _open_to(one: Candidate, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that it may be put into."""
    if one.cpu is None or left_alone(one.places, cells):
        return []
    policy = one.places.placement.cells
    at_home = _is_away(one.places, cells)
    return [cell for cell in cells if _fits(one.places, cell) and (not at_home or policy == (cell.number,))]


def _fits(guest: GuestPlaces, cell: Cell) -> bool:
    return guest.vcpus <= len(cell.cpus) and guest.memory_kib <= cell.memory_kib and not is_short(guest, cell)


def _is_away(guest: GuestPlaces, cells: Sequence[Cell]) -> bool:
    """Its vCPUs are not where its memory comes from: there they belong."""
    found = find(guest, cells)
    return found is not None and found.kind is Kind.AWAY


def left_alone(guest: GuestPlaces, cells: Sequence[Cell]) -> str:
    """Why somebody wants it to stay where it is; empty where nobody is known to. What is misplaced may be moved."""
    if find(guest, cells):
        return ""
    placement = guest.placement
    if placement.cells and placement.mode != MOVABLE_MODE:
        return (
            f"Its memory comes from cell{'s' if len(placement.cells) > 1 else ''} {cpuset.text_of(placement.cells)} "
            "by its memory policy, and would stay there while it runs."
        )
    if _has_cpus_of_its_own(placement, cells):
        return "Its vCPUs are pinned to some CPUs of a cell, which somebody chose."
    return ""


def _has_cpus_of_its_own(placement: Placement, cells: Sequence[Cell]) -> bool:
    return any(
        pins and not any(set(cell.cpus) <= set(pins) for cell in cells if cell.cpus) for pins in placement.pins.values()
    )


def _staying(
    left: Sequence[Candidate], cells: Sequence[Cell], after: Mapping[int, float]
) -> Iterator[tuple[UUID, str]]:
    busiest = max(after, key=lambda number: after[number], default=None)
    for one in left:
        if busiest is None or busiest not in one.used_in(cells):
            continue
        if reason := left_alone(one.places, cells):
            yield one.uuid, reason
        elif one.cpu is None:
            yield one.uuid, "How much CPU time it uses is not known."
        elif _is_away(one.places, cells) and len(one.places.placement.cells) > 1:
            yield one.uuid, "Its memory policy is for several cells: its own page tells how to put it right."
        elif not any(cell.number != busiest for cell in _open_to(one, cells)):
            yield one.uuid, "It fits in no other cell, or belongs in this one."
