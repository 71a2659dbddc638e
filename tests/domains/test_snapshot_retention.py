"""When scheduled snapshots are due, and which of them stay. Pure functions."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from domains.snapshots.models import Snapshot
from domains.snapshots.schedules.retention import Rules, forecast, verdicts
from domains.snapshots.schedules.times import DAY, HOUR, WEEK, Rhythm
from domains.snapshots.tree import descendants, in_order

NOON = datetime(2024, 11, 27, 12, tzinfo=UTC)  # a Wednesday

moments = st.sets(
    st.integers(min_value=0, max_value=24 * 400).map(lambda hours: NOON - timedelta(hours=hours)), max_size=60
)
few = st.integers(min_value=0, max_value=6)
rules = st.builds(Rules, few, few, few, few, few)
rhythms = st.builds(
    Rhythm, st.sampled_from([HOUR, DAY, WEEK]), st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.integers(min_value=0, max_value=6),
)  # fmt: skip


def kept(times: set[datetime], of: Rules) -> set[datetime]:
    return {one.at for one in verdicts(times, of) if one.stays}


class TestWhatStays:
    def test_each_rule_says_what_it_keeps_and_why_others_go(self) -> None:
        times = [NOON - timedelta(hours=hours) for hours in (0, 1, 24, 48, 24 * 8)]
        found = verdicts(times, Rules(last=1, daily=2, weekly=2))
        assert [one.stays for one in found] == [True, False, True, False, True]
        assert found[0].kept_as == ("one of the last 1", "newest of 27 Nov", "newest of week 48")
        assert found[1].goes_because == (
            "not one of the last 1", "a newer one of its day is there", "a newer one of its week is there",
        )  # fmt: skip
        assert found[2].kept_as == ("newest of 26 Nov",)
        assert "older than the last 2 days that have one" in found[3].goes_because
        assert found[4].kept_as == ("newest of week 47",)

    def test_days_are_those_of_the_site(self, settings: Settings) -> None:
        evening, later = datetime(2024, 11, 27, 21, tzinfo=UTC), datetime(2024, 11, 27, 23, 30, tzinfo=UTC)
        assert kept({evening, later}, Rules(daily=5)) == {later}
        settings.TIME_ZONE = "Europe/Zurich"  # where the second one is of the 28th
        assert kept({evening, later}, Rules(daily=5)) == {evening, later}

    @given(moments, rules)
    def test_every_snapshot_has_either_reasons_to_stay_or_reasons_to_go(self, times: set[datetime], of: Rules) -> None:
        found = verdicts(times, of)
        assert [one.at for one in found] == sorted(times, reverse=True)
        for one in found:
            assert bool(one.kept_as) != bool(one.goes_because) or of == Rules()

    @given(moments, rules)
    def test_the_newest_stays_and_never_more_than_the_rules_say(self, times: set[datetime], of: Rules) -> None:
        staying = kept(times, of)
        if times and of != Rules():
            assert max(times) in staying
        assert len(staying) <= of.last + of.hourly + of.daily + of.weekly + of.monthly
        assert len(staying) >= min(of.last, len(times))

    @given(moments, rules)
    def test_what_stays_stays_when_it_is_looked_at_again(self, times: set[datetime], of: Rules) -> None:
        assert kept(kept(times, of), of) == kept(times, of)

    @given(moments, rules)
    def test_pruning_after_each_one_leaves_what_the_forecast_says(self, times: set[datetime], of: Rules) -> None:
        there: set[datetime] = set()
        for moment in sorted(times):
            there = kept({*there, moment}, of)
        assert there == kept(times, of)

    @given(moments, rules, few)
    def test_a_larger_rule_keeps_no_less(self, times: set[datetime], of: Rules, more: int) -> None:
        larger = Rules(of.last + more, of.hourly, of.daily + more, of.weekly, of.monthly + more)
        assert kept(times, of) <= kept(times, larger)

    def test_a_forecast_counts_what_is_there_already(self) -> None:
        old = NOON - timedelta(days=200)
        found = forecast(Rhythm(DAY, time(2)), Rules(last=3, monthly=12), start=NOON, days=30, there=[old])
        assert found.taken == 30
        assert [one.at.day for one in found.left[:4]] == [27, 26, 25, 30]
        assert found.left[-1].at == old

    def test_the_rules_in_words(self) -> None:
        assert Rules(last=3, daily=7, monthly=2).words == "the last 3, 7 daily, 2 monthly"


class TestWhenTheyAreDue:
    def test_the_next_of_each_rhythm(self) -> None:
        assert Rhythm(HOUR, time(2, 15)).after(NOON) == NOON + timedelta(minutes=15)
        assert Rhythm(HOUR, time(2, 0)).after(NOON) == NOON + timedelta(hours=1)
        assert Rhythm(DAY, time(2)).after(NOON) == datetime(2024, 11, 28, 2, tzinfo=UTC)
        assert Rhythm(DAY, time(12, 1)).after(NOON) == NOON + timedelta(minutes=1)
        assert Rhythm(WEEK, time(2), 6).after(NOON) == datetime(2024, 12, 1, 2, tzinfo=UTC)
        assert Rhythm(WEEK, time(12), 2).after(NOON) == NOON + timedelta(days=7)

    @given(rhythms, st.integers(min_value=0, max_value=10**7))
    def test_between_has_each_once_and_nothing_else(self, rhythm: Rhythm, seconds: int) -> None:
        until = NOON + timedelta(seconds=seconds % (86400 * 30))
        middle = NOON + (until - NOON) / 2
        whole = list(rhythm.between(NOON, until))
        assert whole == [*rhythm.between(NOON, middle), *rhythm.between(middle, until)]
        assert all(NOON < one <= until for one in whole)

    @pytest.mark.parametrize(
        ("day", "hours"),
        [(datetime(2024, 3, 30, 12, tzinfo=UTC), [24, 23]), (datetime(2024, 10, 26, 12, tzinfo=UTC), [24, 25])],
    )
    def test_a_clock_change_neither_skips_nor_repeats_a_day(
        self, day: datetime, hours: list[int], settings: Settings
    ) -> None:
        """02:30 does not exist on 31 March in Zürich, and comes twice on 27 October."""
        settings.TIME_ZONE = "Europe/Zurich"
        times = list(Rhythm(DAY, time(2, 30)).between(day - timedelta(days=1), day + timedelta(days=2)))
        gaps = [(after - before) / timedelta(hours=1) for before, after in itertools.pairwise(times)]
        assert gaps == hours

    def test_in_words(self) -> None:
        assert Rhythm(HOUR, time(2, 5)).words == "every hour at minute 5"
        assert Rhythm(WEEK, time(2, 5), 6).words == "every week on Sunday at 02:05"


def named(name: str, parent: str = "") -> Snapshot:
    return Snapshot(name=name, parent_name=parent)


class TestTheTree:
    def test_children_follow_their_parents(self) -> None:
        rows = [named("a"), named("b", "a"), named("c", "b"), named("d", "a"), named("e", "lost")]
        assert [(depth, row.name) for depth, row in in_order(rows)] == [
            (0, "a"), (1, "b"), (2, "c"), (1, "d"), (0, "e"),
        ]  # fmt: skip
        assert [row.name for row in descendants(rows, rows[0])] == ["b", "c", "d"]
        assert descendants(rows, rows[2]) == []

    @given(st.lists(st.integers(min_value=0, max_value=12), max_size=12))
    def test_each_is_there_once_whatever_their_parents_are(self, parents: list[int]) -> None:
        rows = [named(str(number), str(parent)) for number, parent in enumerate(parents)]
        assert sorted(row.name for _, row in in_order(rows)) == sorted(row.name for row in rows)
