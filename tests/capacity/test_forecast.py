"""When something is full: against series whose trend and week are known, and honest about what nobody knows."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.capacity.forecast import LEAST_DAYS, MOST_AHEAD_DAYS, Day, learn

MONDAY = date(2026, 1, 5)


def series(
    number: int, *, level: float = 50.0, slope: float = 0.0, weekend: float = 0.0, first: date = MONDAY
) -> list[Day]:
    """Exact: a line, with `weekend` added on Saturdays and Sundays."""
    days = [first + timedelta(days=one) for one in range(number)]
    return [(day, level + slope * at + (weekend if day.weekday() > 4 else 0)) for at, day in enumerate(days)]


@given(
    st.integers(LEAST_DAYS, 120),
    st.floats(-5, 5),
    st.floats(0, 1000),
    st.lists(st.floats(-50, 50), min_size=7, max_size=7),
)
def test_trend_and_rhythm_of_the_week_are_found_exactly(
    number: int, slope: float, level: float, rhythm: list[float]
) -> None:
    days = [MONDAY + timedelta(days=one) for one in range(number)]
    trend = learn([(day, level + slope * at + rhythm[day.weekday()]) for at, day in enumerate(days)])
    assert trend
    assert trend.slope == pytest.approx(slope, abs=1e-6)
    ahead = trend.at(MONDAY + timedelta(days=number + 9))
    assert ahead.value == pytest.approx(level + slope * (number + 9) + rhythm[(number + 9) % 7], abs=1e-5)


def test_the_day_it_is_full_comes_from_line_and_weekday() -> None:
    """50 + 1 a day: 100 is reached on day 50; with 20 less at weekends day 50, a Tuesday, stays the day."""
    trend = learn(series(28, slope=1.0, weekend=-20.0))
    assert trend
    crossing = trend.crossing(100.0)
    assert crossing.likely == MONDAY + timedelta(days=50)
    assert crossing.soonest == crossing.latest == crossing.likely  # nothing is uncertain here


def test_a_weekly_peak_counts_although_the_mean_is_far_below() -> None:
    """20 more at weekends: day 33 is the first Saturday from which 50 + day + 20 is 100."""
    trend = learn(series(28, slope=1.0, weekend=20.0))
    assert trend
    assert trend.crossing(100.0).likely == MONDAY + timedelta(days=33)  # 50 + 33 + 20 = 103, the Friday before is 82


@pytest.mark.parametrize("number", [0, 1, LEAST_DAYS - 1])
def test_too_few_days_give_no_forecast(number: int) -> None:
    assert learn(series(number)) is None


def test_a_weekday_that_was_hardly_seen_gives_no_forecast() -> None:
    working = [day for day in series(60) if day[0].weekday() < 5]
    assert len(working) > LEAST_DAYS
    assert learn(working) is None


def test_gaps_do_no_harm() -> None:
    days = [day for at, day in enumerate(series(60, slope=0.5, weekend=-7.0)) if at % 11 and not 20 < at < 26]
    trend = learn(days)
    assert trend
    assert trend.slope == pytest.approx(0.5)
    assert trend.at(MONDAY + timedelta(days=70)).value == pytest.approx(50 + 35)


@pytest.mark.parametrize("number", [21, 60, 400])
def test_it_looks_no_further_than_it_may(number: int) -> None:
    trend = learn(series(number, slope=0.001))
    assert trend
    ahead = trend.ahead()
    assert len(ahead) == min(2 * number, MOST_AHEAD_DAYS)
    assert trend.crossing(1e9).soonest is None


def test_what_falls_or_stands_is_never_full() -> None:
    for slope in (0.0, -0.5):
        trend = learn(series(60, slope=slope))
        assert trend
        assert trend.crossing(90.0).soonest is None


def noisy(chance: random.Random, number: int, alike: float) -> list[Day]:
    """50 + 0.2 a day, 6 less at weekends, and noise of which neighbouring days share a part."""
    days, rest = [], chance.gauss(0, 2)
    for day, value in series(number, slope=0.2, weekend=-6.0):
        rest = alike * rest + chance.gauss(0, 2 * (1 - alike * alike) ** 0.5)
        days.append((day, value + rest))
    return days


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.8])
def test_ranges_hold_about_as_often_as_they_say(alike: float) -> None:
    """Nine times in ten, also where neighbouring days are alike; counted over 300 made-up fleets."""
    chance = random.Random(7)
    held = 0
    for _ in range(300):
        days = noisy(chance, 84, alike)
        trend = learn(days[:56])
        assert trend
        found = trend.at(days[-1][0])
        held += found.low <= days[-1][1] <= found.high
    assert 0.83 <= held / 300 <= 0.97


def test_noise_widens_the_range_and_more_history_narrows_it() -> None:
    widths = []
    for number in (28, 84):
        trend = learn(noisy(random.Random(3), number, 0.0))
        assert trend
        found = trend.at(trend.last + timedelta(days=28))
        widths.append(found.high - found.low)
    exact = learn(series(28, slope=0.2, weekend=-6.0))
    assert exact
    assert exact.at(exact.last + timedelta(days=28)).high == pytest.approx(
        exact.at(exact.last + timedelta(days=28)).low
    )
    assert widths[0] > widths[1] > 0


def test_the_soonest_day_is_not_after_the_likely_one_nor_that_after_the_latest() -> None:
    trend = learn(noisy(random.Random(5), 70, 0.5))
    assert trend
    found = trend.crossing(70.0)
    assert found.soonest and found.likely
    assert found.soonest <= found.likely
    assert found.latest is None or found.likely <= found.latest
