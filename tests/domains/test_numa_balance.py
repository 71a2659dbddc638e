"""Which guests are put into which cell, so that no cell is busy while another has much to spare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.numa.balance.planner import Candidate, Proposal, left_alone, propose
from domains.numa.findings import Cell, GuestPlaces, is_uneven
from vmdash.virt.xml.placement import Placement

GIB = 2**20
CELLS = [Cell(0, (0, 1, 2, 3), 16 * GIB, (10, 21)), Cell(1, (4, 5, 6, 7), 16 * GIB, (21, 10))]


def guest(
    name: str = "web1",
    *,
    vcpus: int = 2,
    cpu: float | None = 50.0,
    at: Sequence[int] = (0, 1),
    memory_kib: int = GIB,
    pins: Sequence[int] = (),
    mode: str = "",
    cells: Sequence[int] = (),
) -> Candidate:
    """It was seen on the CPUs `at`; each of its vCPUs is pinned to `pins`."""
    placement = Placement({vcpu: tuple(pins) for vcpu in range(vcpus) if pins}, (), mode, tuple(cells))
    places = GuestPlaces(name, vcpus, memory_kib, placement, dict(enumerate(at)))
    return Candidate(UUID(int=sum(name.encode()) * 1000 + len(name)), places, cpu)


def moved(proposal: Proposal) -> list[tuple[str, int]]:
    return [(move.candidate.places.name, move.cell.number) for move in proposal.moves]


BUSY: Mapping[int, float] = {0: 95.0, 1: 5.0}


def test_the_one_guest_that_brings_balance_is_moved() -> None:
    small, large = guest("small", cpu=10), guest("large", cpu=80)
    proposal = propose(CELLS, BUSY, [small, large])
    assert moved(proposal) == [("large", 1)]
    assert proposal.after == pytest.approx({0: 55.0, 1: 45.0})


def test_several_are_moved_where_one_is_not_enough() -> None:
    guests = [guest(f"web{number}", vcpus=1, cpu=30, at=[number]) for number in range(4)]
    proposal = propose(CELLS, {0: 100.0, 1: 20.0}, guests)
    assert moved(proposal) == [("web0", 1), ("web1", 1), ("web2", 1)]
    assert not is_uneven(proposal.after.values())


def test_cells_in_balance_are_left_as_they_are() -> None:
    assert moved(propose(CELLS, {0: 84.0, 1: 5.0}, [guest()])) == []
    assert moved(propose(CELLS, {0: 95.0, 1: 60.0}, [guest()])) == []
    assert moved(propose(CELLS, {0: 95.0}, [guest()])) == []


def test_a_guest_that_would_only_turn_it_round_stays() -> None:
    whole = guest(vcpus=4, cpu=95, at=[0, 1, 2, 3])
    assert moved(propose(CELLS, {0: 95.0, 1: 0.0}, [whole])) == []


@pytest.mark.parametrize(
    "one",
    [guest(vcpus=5, at=[0, 1, 2, 3, 3]), guest(memory_kib=17 * GIB), guest(cpu=None), guest(at=[4, 5]), guest(at=[])],
    ids=["more vCPUs than CPUs", "more memory than a cell", "not known how busy", "elsewhere", "not known where"],
)
def test_what_does_not_fit_or_is_not_known_stays(one: Candidate) -> None:
    assert moved(propose(CELLS, BUSY, [one])) == []


def test_the_memory_of_two_is_not_promised_twice() -> None:
    cells = [CELLS[0], Cell(1, (4, 5, 6, 7), 16 * GIB, (21, 10), free_kib=3 * GIB)]
    guests = [guest(f"web{number}", vcpus=1, cpu=40, at=[number], memory_kib=2 * GIB) for number in range(4)]
    assert moved(propose(cells, {0: 100.0, 1: 0.0}, guests)) == [("web0", 1)]


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (guest(), ""),
        (guest(pins=[0, 1, 2, 3]), ""),
        (guest(pins=range(8)), ""),
        (guest(pins=[0, 1]), "pinned to some CPUs of a cell"),
        (guest(mode="strict", cells=[0]), "Its memory comes from cell 0 by its memory policy"),
        (guest(mode="preferred", cells=[0, 1]), "Its memory comes from cells 0-1 by its memory policy"),
        (guest(mode="restrictive", cells=[0]), ""),
        (guest(mode="strict", cells=[1]), ""),
        (guest(at=[0, 4], pins=[0, 4]), ""),
    ],
    ids=["free", "in a cell", "on all CPUs", "own CPUs", "strict", "preferred", "restrictive", "away", "spread"],
)
def test_what_somebody_placed_by_hand_is_left_alone_unless_it_is_misplaced(one: Candidate, why: str) -> None:
    found = left_alone(one.places, CELLS)
    assert why in found if why else found == ""
    proposal = propose(CELLS, BUSY, [one])
    assert bool(proposal.moves) == (not why)
    assert (why in proposal.staying.get(one.uuid, "")) if why else one.uuid not in proposal.staying


def test_a_guest_goes_where_its_memory_is_and_nowhere_else() -> None:
    three = [*CELLS, Cell(2, (8, 9, 10, 11), 16 * GIB)]
    away = guest(mode="strict", cells=[2], pins=[0, 1, 2, 3], cpu=60)
    assert moved(propose(three, {**BUSY, 2: 30.0}, [away])) == [("web1", 2)]


def test_why_a_guest_with_a_policy_of_several_cells_stays_is_said() -> None:
    three = [*CELLS, Cell(2, (8, 9, 10, 11), 16 * GIB)]
    away = guest(mode="strict", cells=[1, 2], pins=[0, 1, 2, 3])
    proposal = propose(three, {**BUSY, 2: 30.0}, [away])
    assert proposal.staying[away.uuid].startswith("Its memory policy is for several cells")


_guests = st.lists(
    st.builds(
        guest,
        st.text("abcdef", min_size=1, max_size=3),
        vcpus=st.integers(1, 5),
        cpu=st.none() | st.floats(0, 100),
        at=st.lists(st.integers(0, 11), max_size=5),
        memory_kib=st.integers(1, 20).map(lambda gib: gib * GIB),
        pins=st.sampled_from([(), (0, 1, 2, 3), (4,), tuple(range(12))]),
    ),
    max_size=8,
    unique_by=lambda one: one.uuid,
)


@given(guests=_guests, load=st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)))
def test_no_plan_makes_it_worse(guests: list[Candidate], load: tuple[float, ...]) -> None:
    cells = [Cell(number, tuple(range(4 * number, 4 * number + 4)), 16 * GIB, (), 8 * GIB) for number in range(3)]
    proposal = propose(cells, dict(enumerate(load)), guests)
    names = [move.candidate.uuid for move in proposal.moves]
    assert len(names) == len(set(names))
    assert max(proposal.after.values()) <= max(load)
    assert not proposal.moves or is_uneven(load)
    for move in proposal.moves:
        places = move.candidate.places
        assert places.vcpus <= len(move.cell.cpus)
        assert not left_alone(places, cells)
    for cell in cells:
        come = [move.candidate.places.memory_kib for move in proposal.moves if move.cell.number == cell.number]
        assert sum(come) <= 8 * GIB
