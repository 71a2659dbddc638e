"""Who takes what guests lose: divided by who ran where somebody waited."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt.contention import HOST, Ran, losses, own_work

FRACTIONS = st.floats(0, 1)
RAN = st.builds(
    Ran, st.sampled_from("abc"), FRACTIONS, FRACTIONS, st.none() | st.integers(0, 2), st.booleans()
)  # fmt: skip


def test_the_burner_takes_it_and_the_idle_one_does_not() -> None:
    found = losses([Ran("web", 0.5, 0.5, 3, True), Ran("ci", 0.5, 0.5, 3, True), Ran("idle", 0, 0, 3, True)], {})
    assert found["web"].lost == 0.5
    assert dict(found["web"].by) == {"ci": 0.5}
    assert dict(found["ci"].by) == {"web": 0.5}
    assert "idle" not in found
    assert found["web"].sure == pytest.approx(0.5)


def test_several_take_it_by_how_long_they_ran() -> None:
    found = losses([Ran("web", 0.2, 0.6, 0, True), Ran("ci", 0.6, 0, 0, True), Ran("build", 0.2, 0, 0, True)], {})
    assert dict(found["web"].by) == {"ci": pytest.approx(0.45), "build": pytest.approx(0.15)}


def test_who_ran_on_another_cpu_takes_nothing() -> None:
    found = losses([Ran("web", 0.4, 0.4, 0, True), Ran("far", 1, 0, 1, True)], {0: 0.0})
    assert (found["web"].lost, dict(found["web"].by), found["web"].sure) == (0.4, {}, 0)


def test_what_the_host_did_besides_vcpus_is_its_own_work() -> None:
    ran = [Ran("web", 0.4, 0.5, 0, True), Ran("ci", 0.3, 0, 0, True)]
    own = own_work(ran, {0: 1.0, 1: 0.2})
    assert own == {0: pytest.approx(0.3), 1: 0.2}
    found = losses(ran, own)
    assert dict(found["web"].by) == {"ci": pytest.approx(0.25), HOST: pytest.approx(0.25)}


def test_vcpus_of_one_guest_wait_for_each_other_too() -> None:
    found = losses([Ran("web", 0.5, 0.5, 0, True), Ran("web", 0.5, 0.5, 0, True)], {})
    assert (found["web"].lost, dict(found["web"].by)) == (1.0, {"web": 1.0})


def test_it_is_only_as_sure_as_they_stayed_where_they_were() -> None:
    found = losses(
        [Ran("web", 0, 0.8, 0, True), Ran("stayed", 0.5, 0, 0, True), Ran("came", 0.5, 0, 0, False)], {}
    )  # fmt: skip
    assert found["web"].sure == pytest.approx(0.4)
    assert losses([Ran("web", 0, 0.8, 0, False), Ran("stayed", 0.5, 0, 0, True)], {})["web"].sure == 0


@given(st.lists(RAN, max_size=8), st.dictionaries(st.integers(0, 2), FRACTIONS))
def test_nobody_takes_more_than_was_lost(ran: list[Ran], own: dict[int, float]) -> None:
    for guest, loss in losses(ran, own).items():
        assert loss.lost == pytest.approx(sum(one.waited for one in ran if one.guest == guest))
        assert all(part >= 0 for part in loss.by.values())
        assert sum(loss.by.values()) <= loss.lost + 1e-9
        assert loss.sure <= sum(loss.by.values()) + 1e-9
