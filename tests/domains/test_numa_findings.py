"""What is found to be wrong with where guests run, and what would put it right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from domains.numa.findings import Cell, CellLoad, GuestPlaces, Kind, find, proposal, shortage, uneven
from vmdash.virt.xml.placement import Placement

GIB = 2**20
CELLS = [Cell(0, (0, 1, 2, 3), 16 * GIB, (10, 21)), Cell(1, (4, 5, 6, 7), 16 * GIB, (21, 10))]


def guest(
    *,
    vcpus: int = 2,
    memory_kib: int = GIB,
    pins: Mapping[int, Sequence[int]] | None = None,
    cells: Sequence[int] = (),
    mode: str = "strict",
    places: Mapping[int, int] | None = None,
) -> GuestPlaces:
    placement = Placement(
        {number: tuple(cpus) for number, cpus in (pins or {}).items()}, (), mode if cells else "", tuple(cells)
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


def with_free(*free_kib: int | None) -> list[Cell]:
    return [replace(cell, free_kib=free) for cell, free in zip(CELLS, free_kib, strict=True)]


def test_a_spread_guest_is_not_brought_to_a_full_cell_where_another_has_room() -> None:
    one = guest(vcpus=3, memory_kib=4 * GIB, places={0: 0, 1: 1, 2: 5})
    wanted = proposal(one, with_free(3 * GIB, 4 * GIB))
    assert wanted is not None
    assert wanted.cells == (1,)
    wanted = proposal(one, with_free(3 * GIB, GIB))
    assert wanted is not None, "cached files may be given back"
    assert wanted.cells == (0,)


def test_a_cell_of_which_the_free_memory_is_not_known_is_taken_for_roomy() -> None:
    one = guest(memory_kib=4 * GIB, places={0: 0, 1: 5})
    wanted = proposal(one, with_free(None, GIB))
    assert wanted is not None
    assert wanted.cells == (0,)
    assert shortage(one, with_free(None, GIB)[0]) == ""


def test_vcpus_are_brought_to_memory_that_is_in_a_full_cell_already() -> None:
    one = guest(memory_kib=4 * GIB, cells=[0], mode="preferred", pins={0: [4], 1: [5]})
    full = with_free(0, 16 * GIB)
    wanted = proposal(one, full)
    assert wanted is not None
    assert (wanted.mode, wanted.cells) == ("preferred", (0,))
    assert shortage(one, full[0]) == ""


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("strict", "it may not start, or the host may end it while it runs"),
        ("restrictive", "it may not start, or the host may end it while it runs"),
        ("preferred", "the rest of its memory comes from farther away"),
    ],
)
def test_what_may_come_of_a_full_cell_is_told(mode: str, outcome: str) -> None:
    assert shortage(guest(memory_kib=4 * GIB, cells=[1], mode=mode), with_free(GIB, GIB)[0]) == (
        "Cell 0 has 1 GiB of memory free, and web1 may use 4 GiB. "
        f"Cached files count as used and can be given back; if they are not enough, {outcome}."
    )


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


def test_cells_out_of_balance_are_explained() -> None:
    busy, idle = CellLoad(0, 94, 500, 1000, ("web1", "db1")), CellLoad(1, 12, 500, 1000)
    [found] = uneven([busy, idle])
    assert found.headline == "The CPUs of cell 0 are 94 % busy, those of cell 1 only 12 %."
    assert found.advice == "Kept in cell 0 are web1, db1. Place some of what is kept there in cell 1."


def test_memory_of_one_cell_that_is_full_while_another_is_not_is_found() -> None:
    [found] = uneven([CellLoad(0, None, 30, 1000), CellLoad(1, None, 700, 1000)])
    assert found.headline == "Of the memory of cell 0 only 3 % is free, of that of cell 1 70 %."
    assert "No guest is kept in cell 0 by its pinning or memory policy." in found.advice


@pytest.mark.parametrize(
    "loads",
    [
        [CellLoad(0, 94, 500, 1000), CellLoad(1, 80, 500, 1000)],
        [CellLoad(0, 70, 500, 1000), CellLoad(1, 2, 500, 1000)],
        [CellLoad(0, None, 0, 0), CellLoad(1, None, 0, 0)],
        [CellLoad(0, 99, 10, 1000)],
        [],
    ],
)
def test_cells_that_all_have_much_or_little_are_in_balance(loads: list[CellLoad]) -> None:
    assert uneven(loads) == []
