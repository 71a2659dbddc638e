"""Pictures of guests' screens, for as long as somebody looks at the guest's page. They cost nothing otherwise."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable, Set

from django.conf import settings
from PIL import Image

from hosts.collector.actor import Actor
from hosts.collector.duties import Duty
from hosts.collector.lane import Lane
from vmdash.virt.errors import HypervisorError

log = logging.getLogger(__name__)

MOST_WIDTH = 640
_NO_PICTURE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for data that is broken, cut off or absurdly large."""


class Screens:
    """Takes pictures of the watched guests of one host."""

    def __init__(
        self, lane: Lane, actor: Actor, show: Callable[[str, bytes], None], active: Callable[[], Set[str]]
    ) -> None:
        self._lane = lane
        self._actor = actor
        self._show = show
        self._active = active
        self._due: dict[str, float] = {}

    def duty(self) -> Duty:
        return Duty(lambda: min(self._due.values(), default=math.inf), self._step)

    def watch(self, uuids: Set[str]) -> bool:
        """The guests that are watched now, of this host or others. Whether these are any others than before."""
        here = self._active() & uuids if uuids else frozenset()
        if here == self._due.keys():
            return False
        self._due = {uuid: self._due.get(uuid, 0) for uuid in here}
        return True

    async def _step(self) -> None:
        uuid = min(self._due, key=self._due.__getitem__)
        self._due[uuid] = time.monotonic() + settings.SLOW_INTERVAL_S
        if await self._actor.ready():
            self._show(uuid, await self._lane.run(self._take, uuid))

    def _take(self, uuid: str) -> bytes:
        """In the lane. Raises CallError."""
        guest = self._actor.guest(uuid)
        try:
            return to_png(guest.screenshot().data)
        except _NO_PICTURE as error:
            reason = "what the hypervisor sent is not a picture"
            doing = f"show the screen of {guest.name}"
            raise HypervisorError.because(doing, reason=reason, detail=repr(error)) from error


def to_png(picture: bytes) -> bytes:
    """A picture in any of the hypervisors' formats, made small enough for a page."""
    with Image.open(io.BytesIO(picture), formats=("PPM", "PNG")) as image:
        small = image.convert("RGB")
        if small.width > MOST_WIDTH:
            small.thumbnail((MOST_WIDTH, MOST_WIDTH))
        out = io.BytesIO()
        small.save(out, "PNG", compress_level=6)
        return out.getvalue()
