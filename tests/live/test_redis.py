"""The asynchronous client of Redis, in tasks that are told to end."""

from __future__ import annotations

import asyncio
import random

from vmdash.live.redis import async_client

ATTEMPTS = 100


async def test_a_task_that_is_told_to_end_while_it_talks_to_redis_ends() -> None:
    client = async_client()

    async def talk() -> None:
        while True:
            await client.ping()

    try:
        for _ in range(ATTEMPTS):
            talking = asyncio.create_task(talk())
            await asyncio.wait([talking], timeout=random.uniform(0, 0.005))
            talking.cancel()
            await asyncio.wait([talking], timeout=2)
            assert talking.cancelled()
    finally:
        await client.aclose()
