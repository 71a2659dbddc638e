"""Changes and figures on their way to Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from channels.layers import get_channel_layer

from hosts.collector.publisher import Publisher
from vmdash.live.redis import async_client, refresh_key, tick_key


@pytest.fixture
async def client() -> AsyncIterator[redis.asyncio.Redis]:
    client = async_client()
    yield client
    await client.delete(tick_key(1), tick_key(2), refresh_key(1))
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


async def test_changes_that_redis_did_not_take_are_told_in_order_when_it_is_back(
    client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = get_channel_layer()
    assert layer
    browser = await layer.new_channel()
    await layer.group_add("publisher", browser)
    publisher = Publisher(client)
    publisher.send((["publisher", "nobody"], {"type": "guest_gone", "uuid": str(n), "host": 1}) for n in range(150))
    pipeline = client.pipeline

    def away(*, transaction: bool) -> object:
        publisher.request(1, "later")  # while we tried
        raise redis.ConnectionError("away")

    monkeypatch.setattr(client, "pipeline", away)
    with pytest.raises(redis.ConnectionError):
        await publisher.flush()
    monkeypatch.setattr(client, "pipeline", pipeline)
    await publisher.flush()

    told = [json.loads((await layer.receive(browser))["text"]) for _ in range(150)]
    assert [message["uuid"] for message in told] == [str(n) for n in range(150)]
    assert await client.lrange(refresh_key(1), 0, -1) == [b"later"]
    assert await client.ttl(refresh_key(1)) > 0
    await layer.group_discard("publisher", browser)
