"""Starved, oversized and idle guests, with cases counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from domains.capacity.findings import LEAST_HOURS, Use, judge

GIB = 1024**3


def use(**fields: Any) -> Use:
    """A guest of 4 vCPU and 8 GiB that is fine: busy, and with what it needs."""
    fine: dict[str, Any] = {
        "key": "0" * 32, "name": "web1", "host": "kvm1", "vcpus": 4, "memory_kib": 8 * 1024**2, "hours": 336,
        "cpu_mean": 1.0, "cpu_busy": 2.0, "cpu_peak": 3.0, "steal_mean": 0.0, "steal_busy": 0.0, "memory_hours": 336,
        "memory_peak_bytes": 6 * GIB, "swap_in_bytes_per_s": 0.0,
    }  # fmt: skip
    return Use(**fine | fields)


def kinds(**fields: Any) -> list[str]:
    return [finding.kind for finding in judge(use(**fields))]


def test_a_guest_that_is_fine_is_left_alone() -> None:
    assert judge(use()) == []


def test_too_little_history_is_no_evidence() -> None:
    idle = {"cpu_mean": 0.0, "cpu_busy": 0.0, "cpu_peak": 0.0}
    assert kinds(hours=LEAST_HOURS - 1, **idle) == []
    assert kinds(hours=LEAST_HOURS, **idle) == ["idle"]


def test_an_idle_guest_is_told_with_what_it_used() -> None:
    (found,) = judge(use(cpu_mean=0.01, cpu_busy=0.02, cpu_peak=0.4))
    assert found.kind == "idle"
    assert found.evidence == (
        "Over 14 days it used 0.01 CPUs on average, 0.02 CPUs or less in 95 % of the hours, "
        "and 0.40 CPUs in its busiest five minutes."
    )
    assert (found.vcpus, found.memory_kib) == (4, 8 * 1024**2)


@pytest.mark.parametrize(
    ("vcpus", "peak", "saved"),
    [
        (4, 1.4, 2),  # 1.4 / 0.7 = 2 vCPU would do, half of 4
        (4, 1.5, 0),  # needs 3, more than half
        (8, 0.5, 7),
        (1, 0.1, 0),  # nobody has less than one
    ],
)
def test_vcpus_that_the_busiest_five_minutes_did_not_need(vcpus: int, peak: float, saved: int) -> None:
    found = judge(use(vcpus=vcpus, cpu_peak=peak, cpu_busy=0.1, cpu_mean=0.1))
    assert sum(finding.vcpus for finding in found) == saved


def test_who_waits_for_a_cpu_is_not_told_to_have_too_many() -> None:
    assert kinds(cpu_peak=0.5, cpu_busy=0.4, cpu_mean=0.3, steal_busy=0.8) == ["starved"]


def test_memory_that_was_never_used() -> None:
    """2 GiB at the most: 2.5 GiB would do, which leaves 5.5 of 8."""
    (found,) = judge(use(memory_peak_bytes=2 * GIB))
    assert found.kind == "oversized"
    assert found.memory_kib == 5632 * 1024
    assert "never more than 2 GiB of 8 GiB memory in 14 days" in found.evidence
    assert found.advice == "2.5 GiB would do."


def test_without_figures_of_its_memory_nothing_is_said_of_it() -> None:
    assert kinds(memory_peak_bytes=None, memory_hours=0, swap_in_bytes_per_s=None) == []
    assert kinds(memory_peak_bytes=GIB, memory_hours=LEAST_HOURS - 1) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"steal_busy": 0.4, "steal_mean": 0.12}, "loses 3 % of its CPU time to others on average and 10 %"),
        ({"cpu_busy": 3.6}, "used 3.6 CPUs of 4 vCPU in its busy hours"),
        ({"memory_peak_bytes": int(7.7 * GIB)}, "had 96 % of its memory in use at its peak"),
        ({"swap_in_bytes_per_s": 200 * 1024.0}, "reads 200 KiB/s back from swap on average"),
    ],
)
def test_what_a_guest_lacks_is_told_with_its_figure(fields: dict[str, Any], words: str) -> None:
    (found,) = judge(use(**fields))
    assert found.kind == "starved"
    assert words in found.evidence
    assert found.advice


@pytest.mark.parametrize("fields", [{"steal_busy": 0.39}, {"cpu_busy": 3.5}, {"memory_peak_bytes": int(7.5 * GIB)}])
def test_just_below_a_bound_is_fine(fields: dict[str, Any]) -> None:
    assert kinds(**fields) == []
