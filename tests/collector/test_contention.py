"""Who takes what guests lose, over about a minute."""

from __future__ import annotations

import pytest

from hosts.collector.contention import Contention, busy_fractions
from vmdash.virt.contention import HOST
from vmdash.virt.node import CpuTimes
from vmdash.virt.rates import CpuRates, VcpuRates

S = 1_000_000_000


def rates(used: float, steal: float, *, vcpus: int = 1) -> CpuRates:
    return CpuRates(used * vcpus, steal, steal, steal * vcpus, tuple(VcpuRates(n, used, steal) for n in range(vcpus)))


def rounds(contention: Contention, guests: dict[str, CpuRates], places: dict[str, int], times: int = 5) -> None:
    for _ in range(times):
        for uuid in contention.asks_for(guests):
            contention.place(uuid, {vcpu.number: places[uuid] for vcpu in guests[uuid].vcpus})
        contention.divide(guests, {}, 2.0)


def test_nobody_is_asked_while_nobody_loses_anything() -> None:
    assert Contention().asks_for({"a": rates(0.9, 0.001), "b": rates(0.2, 0)}) == []


def test_the_idle_are_not_asked() -> None:
    assert Contention().asks_for({"a": rates(0.5, 0.5), "b": rates(0.9, 0), "idle": rates(0.001, 0)}) == ["a", "b"]


def test_who_takes_it_is_told_most_first_and_with_how_sure_it_is() -> None:
    contention = Contention()
    guests = {"web": rates(0.1, 0.4), "ci": rates(0.6, 0.1), "build": rates(0.3, 0.1)}
    rounds(contention, guests, {"web": 0, "ci": 0, "build": 0})
    blame = contention.blames()["web"]
    assert blame["lost"] == 40.0
    assert blame["by"] == [("ci", 26.7), ("build", 13.3)]
    assert 0.7 < blame["sure"] < 1, "where they were before the first round is not known"


def test_what_is_over_fades_away() -> None:
    contention = Contention()
    rounds(contention, {"web": rates(0.5, 0.5), "ci": rates(0.5, 0.5)}, {"web": 0, "ci": 0})
    calm = {"web": rates(0.5, 0), "ci": rates(0.5, 0)}
    rounds(contention, calm, {"web": 0, "ci": 1}, times=10)
    assert 5 < contention.blames()["web"]["lost"] < 25
    rounds(contention, calm, {"web": 0, "ci": 1}, times=150)
    assert (contention.blames(), contention.remembers) == ({}, False)


def test_a_guest_that_ended_is_forgotten() -> None:
    contention = Contention()
    rounds(contention, {"web": rates(0.5, 0.5), "ci": rates(0.5, 0.5)}, {"web": 0, "ci": 0})
    contention.divide({"ci": rates(0.5, 0.5)}, {}, 2.0)
    assert "web" not in contention.blames()
    assert "web" not in contention.taken


def test_what_was_taken_is_counted_in_cpu_seconds() -> None:
    contention = Contention()
    rounds(contention, {"web": rates(0.5, 0.5, vcpus=2), "ci": rates(0.5, 0)}, {"web": 0, "ci": 0}, times=3)
    taken = contention.taken["web"]
    assert sum(taken.values()) == pytest.approx(2 * 0.5 * 2.0 * 3)
    assert taken["web"] == pytest.approx(taken["ci"]), "its other vCPU ran as long as ci"


def test_how_busy_cpus_were() -> None:
    before = {0: CpuTimes(0, 10 * S, 0, 10 * S, 0), 1: CpuTimes(1, 9 * S, 0, 0, 0)}
    after = {0: CpuTimes(0, 11 * S, 1 * S, 12 * S, 0), 1: CpuTimes(1, 1 * S, 0, 0, 0), 2: CpuTimes(2, S, 0, 0, 0)}
    assert busy_fractions(before, after) == {0: 0.5}


def test_the_host_s_own_work_is_taken_to_be_the_same_until_it_is_read_again() -> None:
    contention, guests = Contention(), {"web": rates(0.4, 0.5), "ci": rates(0.3, 0)}

    def taken_by_the_host(busy: dict[int, float]) -> float:
        before = contention.taken["web"][HOST]
        for uuid in guests:
            contention.place(uuid, {0: 0})
        contention.divide(guests, busy, 2.0)
        return contention.taken["web"][HOST] - before

    assert taken_by_the_host({}) == 0
    assert taken_by_the_host({0: 1.0}) == pytest.approx(0.5), "it worked 0.3 for itself, as much as ci"
    assert taken_by_the_host({}) == pytest.approx(0.5)
    assert taken_by_the_host({0: 0.7}) == 0
