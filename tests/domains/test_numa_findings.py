"""What is found to be wrong with where guests run, and what would put it right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domains.numa.findings import Cell, GuestPlaces, Kind, find, proposal
from vmdash.virt.xml.placement import Placement

GIB = 2**20
CELLS = [Cell(0, (0, 1, 2, 3), 16 * GIB, (10, 21)), Cell(1, (4, 5, 6, 7), 16 * GIB, (21, 10))]


def guest(
    *,
    vcpus: int = 2,
    memory_kib: int = GIB,
    pins: Mapping[int, Sequence[int]] | None = None,
    cells: Sequence[int] = (),
    places: Mapping[int, int] | None = None,
) -> GuestPlaces:
    placement = Placement(
        {number: tuple(cpus) for number, cpus in (pins or {}).items()}, (), "strict" if cells else "", tuple(cells)
    )
    return GuestPlaces("web1", vcpus, memory_kib, placement, places or {})


def test_vcpus_pinned_away_from_the_memory_are_found_and_brought_to_it() -> None:
    one = guest(vcpus=1, pins={0: [4]}, cells=[0], places={0: 4})
    found = find(one, CELLS)
    assert found is not None
    assert found.kind is Kind.AWAY
    assert found.headline == "Its vCPU is pinned to CPU 4 in cell 1, but its memory comes from cell 0."
    assert "distance of 21 instead of 10" in found.advice
    assert proposal(one, CELLS) == Placement({0: (0, 1, 2, 3)}, (0, 1, 2, 3), "strict", (0,))


def test_vcpus_that_only_run_there_are_found_too() -> None:
    found = find(guest(cells=[0], places={0: 1, 1: 5}), CELLS)
    assert found is not None
    assert found.headline == "vCPU 1 runs in cell 1, but its memory comes from cell 0, and nothing keeps them there."


def test_what_is_put_right_is_gone() -> None:
    wrong = guest(pins={0: [4], 1: [5]}, cells=[0], places={0: 4, 1: 5})
    right = proposal(wrong, CELLS)
    assert right is not None
    assert find(GuestPlaces("web1", 2, GIB, right, {0: 0, 1: 3}), CELLS) is None


def test_a_guest_that_is_spread_although_it_would_fit_is_found() -> None:
    one = guest(places={0: 5, 1: 1})
    found = find(one, CELLS)
    assert found is not None
    assert found.kind is Kind.SPREAD
    assert "libvirt does not tell" in found.advice
    wanted = proposal(one, CELLS)
    assert wanted is not None
    assert (wanted.mode, wanted.cells) == ("strict", (0,))


def test_one_that_fits_in_no_cell_is_rightly_spread() -> None:
    assert find(guest(vcpus=6, places={0: 0, 1: 1, 2: 2, 3: 4, 4: 5, 5: 6}), CELLS) is None
    assert find(guest(memory_kib=20 * GIB, places={0: 0, 1: 5}), CELLS) is None


def test_nothing_is_wrong_where_all_is_near_or_nothing_is_known() -> None:
    assert find(guest(cells=[0], pins={0: [0], 1: [1]}, places={0: 0, 1: 1}), CELLS) is None
    assert find(guest(places={0: 4, 1: 5}), CELLS) is None
    assert find(guest(), CELLS) is None


def test_on_a_host_with_one_cell_there_is_nothing_to_find() -> None:
    one = guest(vcpus=1, pins={0: [4]}, cells=[0], places={0: 4})
    assert find(one, CELLS[:1]) is None
    assert proposal(one, []) is None


def test_a_policy_that_names_cells_the_host_does_not_have_is_not_judged() -> None:
    assert find(guest(cells=[7], places={0: 0}), CELLS) is None
