"""Messages that wait for a slow browser."""

from __future__ import annotations

import asyncio

from vmdash.live.outbox import Outbox


async def test_texts_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox()
    outbox.put("one")
    outbox.put("two")
    assert [await outbox.get(), await outbox.get()] == ["one", "two"]


async def test_whoever_waits_gets_the_next_text() -> None:
    outbox = Outbox()
    waiting = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put("late")
    assert await waiting == "late"


async def test_too_much_is_dropped_and_the_browser_told_to_load_anew() -> None:
    outbox = Outbox(most_characters=100)
    for _ in range(30):
        outbox.put("x" * 40)
    assert await outbox.get() == '{"type":"reload"}'
    assert await outbox.get() == "x" * 40
