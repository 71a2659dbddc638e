"""Live figures of guests, out of the ticks of their hosts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from vmdash.live.messages import GuestSample, Tick

STALE_INTERVALS = 3
"""Figures older than so many intervals are old: shown with their age, and compared with nothing."""


def is_fresh(tick: Tick) -> bool:
    return time.time() * 1000 - tick["at"] <= STALE_INTERVALS * tick["interval_ms"]


def fresh_samples(ticks: Iterable[Tick]) -> dict[str, GuestSample]:
    """The figures of all guests in those ticks that are fresh, by UUID."""
    samples: dict[str, GuestSample] = {}
    for tick in ticks:
        if is_fresh(tick):
            samples.update(tick["guests"])
    return samples


def sample_of(ticks: Mapping[int, Tick], host_id: int, uuid: object) -> GuestSample | None:
    """The last known figures of one guest, fresh or not."""
    tick = ticks.get(host_id)
    return tick["guests"].get(str(uuid)) if tick else None
