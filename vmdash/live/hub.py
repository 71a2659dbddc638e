"""Between the channel layer and the pages of this process.

The channel layer wakes a task and decodes the message for each of its channels: with hundreds of pages that follow
dozens of hosts each, that is most of the work. So the process has one channel, which joins each group once, and every
message is handed to the pages that follow its group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Protocol, cast

import orjson
from channels.layers import BaseChannelLayer, get_channel_layer

from vmdash.live.groups import ALL_JOBS, SCREENS
from vmdash.live.loops import one_per_loop
from vmdash.live.messages import Tick

log = logging.getLogger(__name__)

RETRY_S = 1


class Delivery:
    """One message on its way to the pages. Decoded only if a page needs it, and once for all of them."""

    def __init__(self, group: str, text: str, *, calm: bool) -> None:
        self.group = group
        self.text = text
        self.calm = calm
        """It can wait for a moment: figures that come again."""

    @property
    def is_for_all_jobs(self) -> bool:
        """It comes from the group of everybody's jobs."""
        return self.group == ALL_JOBS

    @property
    def is_for_a_screen(self) -> bool:
        """It comes from the group of one guest's pictures."""
        return self.group.startswith(SCREENS)

    @cached_property
    def message(self) -> dict[str, Any]:
        return cast(dict[str, Any], orjson.loads(self.text))

    @property
    def tick(self) -> Tick | None:
        """The tick that it is; None if it is something else."""
        return cast(Tick, self.message) if self.message["type"] == "tick" else None


class Follower(Protocol):
    def take(self, delivery: Delivery) -> None:
        """Must neither wait nor raise."""


class Hub:
    """The groups that pages of this loop follow."""

    def __init__(self) -> None:
        self._followers: dict[str, set[Follower]] = {}
        self._turn = asyncio.Lock()  # joins and leaves must not overtake each other
        self._receiving: asyncio.Task[None] | None = None
        self._channel = ""

    async def change(self, follower: Follower, join: Iterable[str] = (), leave: Iterable[str] = ()) -> None:
        """Follow groups and stop following others. From its return on, what is sent to them arrives."""
        layer = cast(BaseChannelLayer, get_channel_layer())
        async with self._turn:
            for group in leave:
                left = self._followers.get(group, set())
                left.discard(follower)
                if group in self._followers and not left:
                    del self._followers[group]
                    await layer.group_discard(group, self._channel)
            for group in join:
                if group not in self._followers:
                    if self._receiving is None:
                        self._channel = await layer.new_channel()
                        self._receiving = asyncio.create_task(self._receive(layer, self._channel))
                    await layer.group_add(group, self._channel)
                self._followers.setdefault(group, set()).add(follower)
            if self._receiving and not self._followers:
                self._receiving.cancel()
                await asyncio.wait([self._receiving])  # it gives its channel back
                self._receiving = None

    async def _receive(self, layer: BaseChannelLayer, channel: str) -> None:
        while True:
            try:
                message = await layer.receive(channel)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("Live messages cannot be received.")
                await asyncio.sleep(RETRY_S)
                continue
            try:
                self._hand_out(message)
            except Exception:  # it must not hold up those after it
                log.exception("A live message could not be handed out.")

    def _hand_out(self, message: dict[str, Any]) -> None:
        delivery = Delivery(message["group"], message["text"], calm=message["calm"])
        for follower in self._followers.get(delivery.group, ()):
            follower.take(delivery)


hub = one_per_loop(Hub)
