"""Sending a message to the browsers that follow a group. Encoded once, forwarded as it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

import orjson
import redis
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio.client import Pipeline

from vmdash.live.messages import Message

PATIENCE_S = 5


def encode(message: Message) -> str:
    """The JSON text that browsers get."""
    return orjson.dumps(message).decode()


async def publish(groups: Iterable[str], message: Message | str, *, calm: bool = False) -> None:
    """Send to every browser in any of `groups`; `message` may be encoded already. A `calm` one comes again soon, and
    may wait in the web process for a tenth of a second, to go with others.

    Costs about 0.1 ms a group; call it from one asyncio loop. Raises `redis.exceptions.RedisError`
    when Redis is away.
    """
    text = message if isinstance(message, str) else encode(message)
    for group in groups:
        await _layer().group_send(group, _event(group, text, calm=calm))


def add_to(pipeline: Pipeline, group: str, text: str, *, calm: bool = False) -> None:
    """The same for one group and a message, encoded, that is to go with the other commands of a pipeline (of
    `redis.async_client`): a collector sends hundreds a second, and one at a time each would cost as much as a dozen do
    together.
    """
    layer = _layer()
    pipeline.publish(layer._get_group_channel_name(group), layer.serialize(_event(group, text, calm=calm)))


def _event(group: str, text: str, *, calm: bool) -> dict[str, Any]:
    return {"type": "live.hand_out", "group": group, "text": text, "calm": calm}


def _layer() -> RedisPubSubChannelLayer:
    return cast(RedisPubSubChannelLayer, get_channel_layer())


def publish_now(groups: Iterable[str], message: Message | str) -> None:
    """The same from synchronous code: for jobs and views, not for the collector. At most `PATIENCE_S`.

    All of a process is sent by one loop in a thread of its own, over one connection: ten times as fast as
    `async_to_sync`, which makes a thread, a loop and a connection for each message.
    """
    sent = asyncio.run_coroutine_threadsafe(publish(list(groups), message), _loop())
    try:
        sent.result(timeout=PATIENCE_S)
    except TimeoutError:
        sent.cancel()
        raise redis.TimeoutError("Redis does not take the message.") from None


@lru_cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="publish", daemon=True).start()
    return loop
