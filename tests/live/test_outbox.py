"""Messages that wait for a slow browser."""

from __future__ import annotations

import asyncio

from vmdash.live.outbox import Outbox


async def test_texts_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox()
    outbox.put("one", calm=True)
    outbox.put("two")
    assert await outbox.take() == ["one", "two"]


async def test_whoever_waits_gets_the_next_text() -> None:
    outbox = Outbox()
    waiting = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put("late")
    assert await waiting == ["late"]


async def test_figures_wait_for_others_and_come_all_the_same() -> None:
    outbox = Outbox()
    outbox.put("news")
    await outbox.take()
    outbox.put("figures", calm=True)
    waiting = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put("more figures", calm=True)
    assert await waiting == ["figures", "more figures"]


async def test_news_takes_along_the_figures_that_wait() -> None:
    outbox = Outbox()
    outbox.put("news")
    await outbox.take()
    outbox.put("figures", calm=True)
    waiting = asyncio.create_task(outbox.take())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put("more news")
    assert await waiting == ["figures", "more news"]


async def test_too_much_is_dropped_and_the_browser_told_to_load_anew() -> None:
    outbox = Outbox(most_characters=100)
    for _ in range(3):
        outbox.put("x" * 40)
    assert await outbox.take() == ['{"type":"reload"}', "x" * 40]
