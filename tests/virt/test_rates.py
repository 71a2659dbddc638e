"""Rates: never negative, never made up, and right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt import rates
from vmdash.virt.counters import Counters
from vmdash.virt.stats import GuestStats

COUNTERS = st.none() | st.integers(0, 2**63)
TIMES = st.floats(-10, 1e6, allow_nan=False)
S = 1_000_000_000


def guest(cpu_ns: int | None, *vcpus: tuple[int, int | None]) -> GuestStats:
    """vCPUs as (time, delay) in ns."""
    told: dict[str, Any] = {"vcpu.maximum": len(vcpus)}
    if cpu_ns is not None:
        told["cpu.time"] = cpu_ns
    for number, (time_ns, delay_ns) in enumerate(vcpus):
        told |= {f"vcpu.{number}.state": 1, f"vcpu.{number}.time": time_ns}
        if delay_ns is not None:
            told[f"vcpu.{number}.delay"] = delay_ns
    return GuestStats("", "", Counters.of(told))


@given(COUNTERS, COUNTERS, TIMES)
def test_a_rate_is_never_negative(before: int | None, after: int | None, elapsed_s: float) -> None:
    found = rates.rate(before, after, elapsed_s)
    assert found is None or found >= 0


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.floats(0.1, 1000))
def test_a_rate_times_the_time_is_what_was_counted(before: int, counted: int, elapsed_s: float) -> None:
    found = rates.rate(before, before + counted, elapsed_s)
    assert found is not None
    assert found * elapsed_s == pytest.approx(counted)


@given(st.integers(1, 2**40), st.integers(0, 2**40), st.floats(0.1, 1000))
def test_a_counter_that_went_down_has_begun_anew(lost: int, after: int, elapsed_s: float) -> None:
    assert rates.rate(after + lost, after, elapsed_s) is None


@given(st.lists(st.tuples(COUNTERS, COUNTERS), max_size=4), TIMES)
def test_rates_of_several_counters_are_those_of_each(
    counters: list[tuple[int | None, int | None]], elapsed_s: float
) -> None:
    together = rates.rates_of([before for before, _ in counters], [after for _, after in counters], elapsed_s)
    assert list(together) == [rates.rate(before, after, elapsed_s) for before, after in counters]


@pytest.mark.parametrize("elapsed_s", [0, -1])
def test_there_is_no_rate_without_time(elapsed_s: float) -> None:
    assert rates.rate(1, 2, elapsed_s) is None


def test_steal_is_the_share_of_time_a_vcpu_waited_for_a_cpu() -> None:
    before = guest(10 * S, (4 * S, 1 * S), (6 * S, 2 * S))
    after = guest(13 * S, (5 * S, 2 * S), (8 * S, 2 * S))
    found = rates.cpu(before, after, 2)
    assert found is not None
    assert found.cores_used == 1.5
    assert [(vcpu.used, vcpu.steal) for vcpu in found.vcpus] == [(0.5, 0.5), (1.0, 0.0)]
    assert (found.steal_mean, found.steal_worst, found.steal_cores) == (0.25, 0.5, 0.5)


def test_an_old_host_tells_no_steal_and_none_is_shown() -> None:
    found = rates.cpu(guest(0, (0, None)), guest(S, (S, None)), 1)
    assert found is not None
    assert (found.steal_mean, found.steal_worst, found.steal_cores) == (None, None, None)
    assert found.vcpus[0].used == 1.0


def test_a_guest_that_was_restarted_has_no_rates_yet() -> None:
    assert rates.cpu(guest(10 * S, (4 * S, S)), guest(S, (S, 0)), 2) is None
    assert rates.cpu(guest(None), guest(S), 2) is None


def test_a_vcpu_plugged_in_meanwhile_waits_for_the_next_round() -> None:
    found = rates.cpu(guest(0, (0, 0)), guest(S, (S, 0), (0, 0)), 1)
    assert found is not None
    assert [vcpu.number for vcpu in found.vcpus] == [0]


@given(
    st.lists(st.tuples(st.integers(0, 10 * S), st.none() | st.integers(0, 10 * S)), max_size=4),
    st.lists(st.tuples(st.integers(0, 10 * S), st.none() | st.integers(0, 10 * S)), max_size=4),
    st.floats(0.001, 100),
)
def test_shares_stay_between_none_and_all(
    before: list[tuple[int, int | None]], after: list[tuple[int, int | None]], elapsed_s: float
) -> None:
    found = rates.cpu(guest(0, *before), guest(S, *after), elapsed_s)
    assert found is not None
    for vcpu in found.vcpus:
        assert vcpu.used is None or 0 <= vcpu.used <= 1
        assert vcpu.steal is None or 0 <= vcpu.steal <= 1
    if found.steal_worst is not None:
        assert found.steal_mean is not None
        assert found.steal_mean <= found.steal_worst + 1e-9


@given(
    st.lists(st.tuples(st.integers(0, 10 * S), st.none() | st.integers(0, 10 * S)), max_size=4),
    st.lists(st.tuples(st.integers(0, 10 * S), st.none() | st.integers(0, 10 * S)), max_size=4),
    st.none() | st.integers(0, 3 * S),
    st.floats(0.001, 100),
)
def test_the_quick_way_finds_the_same_as_the_thorough_one(
    before: list[tuple[int, int | None]], after: list[tuple[int, int | None]], cpu_ns: int | None, elapsed_s: float
) -> None:
    earlier, later = guest(S, *before), guest(cpu_ns, *after)
    thorough, quick = rates.cpu(earlier, later, elapsed_s), rates.cpu_use(earlier, later, elapsed_s)
    assert (thorough is None) == (quick is None)
    if thorough and quick:
        for found, expected in zip(quick, thorough[:4], strict=True):
            assert found == (None if expected is None else pytest.approx(expected))
