"""Figures on their way to Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from hosts.collector.publisher import Publisher
from vmdash.live.redis import async_client, tick_key


@pytest.fixture
async def client() -> AsyncIterator[redis.asyncio.Redis]:
    client = async_client()
    yield client
    await client.delete(tick_key(1), tick_key(2))
    await client.aclose()


async def test_figures_that_redis_did_not_take_wait_unless_there_are_newer_ones(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(client)
    publisher.tick(1, "old", "{}")
    publisher.tick(2, "only", "{}")
    pipeline = client.pipeline

    def away(*, transaction: bool) -> object:
        publisher.tick(1, "new", "{}")  # while we tried
        raise redis.ConnectionError("away")

    monkeypatch.setattr(client, "pipeline", away)
    with pytest.raises(redis.ConnectionError):
        await publisher.flush()
    monkeypatch.setattr(client, "pipeline", pipeline)
    await publisher.flush()

    assert await client.mget(tick_key(1), tick_key(2)) == [b"new", b"only"]
