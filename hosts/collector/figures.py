"""When a host's figures are read: the fast tier in one step, the slow one a few guests at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from functools import partial

from django.conf import settings

from hosts.collector.crowd import Crowd
from hosts.collector.duties import Duty
from hosts.collector.guests import GuestWatch
from hosts.collector.lane import Lane
from hosts.collector.publisher import Publisher
from hosts.collector.rhythm import Rhythm
from hosts.collector.sampling import Sampler
from hosts.collector.turns import Kind
from hosts.models import Host

_STEP_S = 0.04
"""About how long a step of the slow tier may take: an event waits for no longer."""
_PLACES_PER_STEP = 40
"""vCPUs are found without asking QEMU: a fraction of a millisecond a guest."""
_FIRST_STEP = 5
"""Guests in the very first step, when nobody knows yet how long one takes."""
_SLOWER_AT_MOST = 1.2
"""By how much a guest is taken to be slower than in the step before: what one step waited for is no guest's doing."""


class Figures:
    """Used on the event loop's thread."""

    def __init__(
        self, host: Host, lane: Lane, sampler: Sampler, watch: GuestWatch, publisher: Publisher, crowd: Crowd
    ) -> None:
        self._host_id = host.pk
        self._lane = lane
        self._sampler = sampler
        self._watch = watch
        self._publisher = publisher
        self._fast = Rhythm(f"{host.name}: states and CPU", host.fast_interval_s or settings.FAST_INTERVAL_S)
        self._slow = Rhythm(f"{host.name}: all figures", host.slow_interval_s or settings.SLOW_INTERVAL_S)
        self._waiting: deque[str] = deque()
        self._places = Rhythm(f"{host.name}: places of vCPUs", settings.PLACES_INTERVAL_S, crowd.stretch)
        self._own_work = Rhythm(f"{host.name}: its own work", settings.PLACES_INTERVAL_S, crowd.stretch)
        self._unplaced: deque[str] = deque()
        self._contended: deque[str] | None = None
        """Guests whose vCPUs are to be found; empty: all are. None while nobody loses anything."""
        self._took_s = 0.0
        self._each_s = _STEP_S / _FIRST_STEP
        """How long one guest takes in the slow tier."""

    def duties(self) -> tuple[Duty, Duty, Duty, Duty]:
        """The fast tier; the slow one, which is less urgent; who takes what guests lose; where vCPUs are."""
        return (
            Duty(lambda: self._fast.due, self._tick, turns=Kind.FIGURES),
            Duty(lambda: 0 if self._waiting else self._slow.due, self._slow_step, turns=Kind.FIGURES),
            Duty(lambda: 0 if self._contended is not None else math.inf, self._blame_step, turns=Kind.FIGURES),
            Duty(lambda: 0 if self._unplaced else self._places.due, self._places_step, turns=Kind.REST),
        )

    async def _tick(self) -> None:
        names = {}
        if self._sampler.needs_names:
            names = {uuid: guest.name for uuid, guest in self._watch.active().items()}
        with self._fast.round():
            done = await self._lane.run(self._sampler.fast, self._fast.interval_s, len(self._watch.known), names)
        self._publisher.tick(self._host_id, done.tick, done.pulse)
        if done.statuses is not None:
            self._watch.compare(done.statuses)
        contended = self._sampler.contended()
        self._contended = None if contended is None else deque(contended)

    async def _blame_step(self) -> None:
        """Find some of the vCPUs; once all are found, say who took whose time. The next tick tells it."""
        contended = self._contended
        self._contended = None  # should this fail, the next round is another try
        if contended:
            uuids = [contended.popleft() for _ in range(min(_PLACES_PER_STEP, len(contended)))]
            await self._lane.run(self._sampler.place, self._watch.active_among(uuids))
            self._contended = contended
        else:
            measure = self._own_work.due <= time.monotonic()
            if await self._lane.run(partial(self._sampler.attribute, measure=measure)):
                self._own_work.done(0)

    async def _places_step(self) -> None:
        if not self._unplaced:  # a new round
            try:
                if await self._lane.run(self._sampler.cells):
                    self._unplaced.extend(self._watch.active())
            finally:
                self._places.done(0)
            return
        uuids = [self._unplaced.popleft() for _ in range(min(_PLACES_PER_STEP, len(self._unplaced)))]
        await self._lane.run(self._sampler.place, self._watch.active_among(uuids))

    async def _slow_step(self) -> None:
        began = time.monotonic()
        try:
            begins = not self._waiting
            if begins:
                self._took_s = 0
                self._waiting.extend(self._watch.active())
            await self._read_some(node=begins)
        finally:
            self._took_s += time.monotonic() - began
            if not self._waiting:
                self._slow.done(self._took_s)

    async def _read_some(self, *, node: bool) -> None:
        per_step = max(1, math.floor(_STEP_S / self._each_s))
        uuids = [self._waiting.popleft() for _ in range(min(per_step, len(self._waiting)))]
        guests = self._watch.active_among(uuids)
        if guests or node:
            asked = time.monotonic()
            await self._lane.run(partial(self._sampler.slow, guests, node=node))
            if guests:
                each_s = (time.monotonic() - asked) / len(guests)
                self._each_s = min(each_s, _SLOWER_AT_MOST * self._each_s)
