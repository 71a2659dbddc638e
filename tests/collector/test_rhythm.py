"""When something is due again."""

from __future__ import annotations

import time

import pytest

from hosts.collector.crowd import COMFORTABLE, Crowd
from hosts.collector.rhythm import Rhythm


def test_it_is_due_at_once_and_then_somewhere_in_the_next_interval() -> None:
    rhythm = Rhythm("states", 100)
    assert rhythm.due <= time.monotonic()

    with rhythm.round():
        pass

    assert 49 < rhythm.due - time.monotonic() <= 100


def test_then_it_keeps_its_pace() -> None:
    rhythm = Rhythm("states", 100)
    rhythm.done(0)
    first = rhythm.due

    rhythm.done(0)

    assert rhythm.due == first + 100


def test_a_round_that_takes_more_than_half_the_interval_slows_it_down_until_it_is_quick_again() -> None:
    rhythm = Rhythm("states", 100)

    rhythm.done(80)
    assert rhythm.interval_s == 160

    rhythm.done(10)
    assert rhythm.interval_s == 100


def test_after_a_long_wait_it_does_not_catch_up() -> None:
    rhythm = Rhythm("states", 100)
    rhythm.done(0)
    rhythm.due -= 1000

    rhythm.done(0)

    assert rhythm.due - time.monotonic() == pytest.approx(50, abs=1)


def test_a_round_that_fails_is_followed_by_a_pause_too() -> None:
    rhythm = Rhythm("states", 100)

    with pytest.raises(ValueError, match="broken"), rhythm.round():
        raise ValueError("broken")

    assert rhythm.due > time.monotonic() + 40


def test_it_can_be_made_due() -> None:
    rhythm = Rhythm("sweep", 100)
    rhythm.done(0)

    rhythm.now()

    assert rhythm.due <= time.monotonic()


def test_what_can_wait_comes_less_often_the_more_guests_there_are() -> None:
    crowd = Crowd()
    rhythm = Rhythm("definitions", 100, crowd.stretch)
    crowd.note(1, COMFORTABLE)
    rhythm.done(0)
    assert rhythm.interval_s == 100

    crowd.note(2, 2 * COMFORTABLE)
    rhythm.done(0)
    assert rhythm.interval_s == 300

    crowd.leave(2)
    rhythm.done(0)
    assert rhythm.interval_s == 100

    crowd.note(2, 2 * COMFORTABLE)
    assert crowd.stretch_of_looks() == 5, "with a call for each guest and CPU even less often"


def test_it_can_hurry_when_its_interval_becomes_shorter() -> None:
    crowd = Crowd()
    crowd.note(1, 3 * COMFORTABLE)
    rhythm = Rhythm("places", 100, crowd.stretch)
    for _ in range(2):
        rhythm.done(0)
    due = rhythm.due
    assert not rhythm.hurry()

    crowd.leave(1)
    assert rhythm.hurry()
    assert rhythm.due == pytest.approx(due - 200)
