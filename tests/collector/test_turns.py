"""Whose turn it is: a limited number at once, in the order in which they asked."""

from __future__ import annotations

import asyncio

import pytest

from hosts.collector import turns
from hosts.collector.turns import Turns


async def test_a_limited_number_has_a_turn_and_the_others_follow_in_order() -> None:
    some = Turns(asyncio.get_running_loop(), most=1)
    told: list[str] = []
    first = some.ask(lambda: told.append("first"))
    second = some.ask(lambda: told.append("second"))
    third = some.ask(lambda: told.append("third"))
    assert (first.has_come, second.has_come, told) == (True, False, [])

    with first:
        pass
    assert (second.has_come, third.has_come, told) == (True, False, ["second"])
    second.end()
    assert (third.has_come, told) == (True, ["second", "third"])


async def test_who_does_not_want_its_turn_any_more_is_passed_over() -> None:
    some = Turns(asyncio.get_running_loop(), most=1)
    first, second, third = (some.ask(lambda: None) for _ in range(3))
    second.end()
    first.end()
    assert third.has_come
    first.end()  # once more changes nothing
    assert not some.ask(lambda: None).has_come


async def test_who_is_cancelled_while_waiting_keeps_no_turn() -> None:
    some = Turns(asyncio.get_running_loop(), most=1)
    first = some.ask(lambda: None)
    waiting = asyncio.create_task(some.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    first.end()
    with await asyncio.wait_for(some.wait(), 1):
        pass


async def test_a_step_that_takes_long_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONG_S", 0.01)
    some = Turns(asyncio.get_running_loop(), most=1)
    with some.ask(lambda: None):
        await asyncio.wait_for(some.wait(), 1)
