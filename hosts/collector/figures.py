"""When a host's figures are read: the fast tier first, then who takes what guests lose, then the slow tier, a few
guests at a time. A host that answers quickly is asked for both tiers at once where both are due.

All of that for as long as a step may take, in one go: to hand over from the event loop to the lane and back takes as
much as the figures of several guests, and finds the caches full of another host's.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping

from django.conf import settings

from hosts.collector.crowd import Crowd
from hosts.collector.duties import Duty
from hosts.collector.guests import GuestWatch
from hosts.collector.lane import STEP_S, Lane
from hosts.collector.publisher import Publisher
from hosts.collector.rhythm import Rhythm
from hosts.collector.sampling import Round, Sampler
from hosts.collector.turns import Kind
from hosts.models import Host

_PIECE_S = STEP_S / 3
"""About how long one call of the slow tier may take."""
_TAKERS_EVERY_S = 20
"""Who takes what guests lose is found out so often at least: what is told of it is of about a minute, and charts need
two readings in one."""
_LITTLE_STEAL = 0.05
"""While no guest loses more of its time than this, who takes it is found out as often as the slow tier is read."""
_PLACES_AT_ONCE = 40
"""vCPUs are found without asking QEMU: a fraction of a millisecond a guest."""
_FIRST = 5
"""Guests in the very first call of the slow tier, when nobody knows yet how long one takes."""
_TOGETHER_SHARE = 0.01
"""Both tiers in one call may take this share of the fast tier's interval: by so much rates of CPU time are off then,
since libvirt asks one guest after the other, and does not say when."""
_TOO_LONG = 2
"""When it took so many times as long, the tiers are read apart until the host's speed is known anew."""
_SLOWER_AT_MOST = 1.2
"""By how much a guest is taken to be slower than in the call before: what one call waited for is no guest's doing."""


class Figures:
    """Its duties are for the event loop's thread. What they have the lane do uses the same attributes; the loop leaves
    them alone meanwhile, since a session takes one step after the other. `view` changes only what the lane never
    does."""

    def __init__(
        self, host: Host, lane: Lane, sampler: Sampler, watch: GuestWatch, publisher: Publisher, crowd: Crowd
    ) -> None:
        self._host_id = host.pk
        self._lane = lane
        self._sampler = sampler
        self._watch = watch
        self._publisher = publisher
        self._crowd = crowd
        self._fast = Rhythm(f"{host.name}: states and CPU", host.fast_interval_s or settings.FAST_INTERVAL_S)
        self._slow = Rhythm(f"{host.name}: all figures", host.slow_interval_s or settings.SLOW_INTERVAL_S)
        self._done: Round | None = None
        """A round of the fast tier that was not handed over yet."""
        self._waiting: deque[str] = deque()
        """Guests that the slow tier has still to read in this round."""
        self._is_viewed = False
        self._places = Rhythm(
            f"{host.name}: places of vCPUs",
            settings.PLACES_INTERVAL_S,
            lambda: 1 if self._is_viewed else crowd.stretch_of_looks(),
        )
        self._own_work = Rhythm(f"{host.name}: its own work", settings.PLACES_INTERVAL_S, crowd.stretch)
        self._unplaced: deque[str] = deque()
        self._contended: deque[str] | None = None
        """Guests whose vCPUs are to be found; empty: all are. None while nobody loses anything."""
        self._contended_at = 0.0
        """When it was last found out who takes what."""
        self._took_s = 0.0
        self._each_s = math.inf
        """How long one guest takes in the slow tier, as far as that is known."""
        self._running = 0
        """How many guests the last round of the fast tier found."""

    def duties(self) -> tuple[Duty, Duty, Duty]:
        """The fast tier, with as much of the rest as there is time for; what is left of the rest; where vCPUs are."""
        return (
            Duty(lambda: self._fast.due, self._tick, turns=Kind.FIGURES),
            Duty(self._rest_due, self._rest_step, turns=Kind.FIGURES),
            Duty(lambda: 0 if self._unplaced else self._places.due, self._places_step, turns=Kind.REST),
        )

    def view(self, is_viewed: bool) -> bool:
        """Whether somebody looks at pages of this host: then nothing is a reason to look seldom where vCPUs are.
        Whether that made something due earlier."""
        begins = is_viewed and not self._is_viewed
        self._is_viewed = is_viewed
        return begins and self._places.hurry()

    def _rest_due(self) -> float:
        return 0 if self._contended is not None or self._waiting else self._slow.due

    async def _tick(self) -> None:
        names = {}
        if self._sampler.needs_names:
            names = {uuid: guest.name for uuid, guest in self._watch.active().items()}
        try:
            await self._lane.run(self._round, names)
        except Exception:  # what was read is good, whatever became of the rest
            self._hand_over()
            raise
        self._hand_over()

    def _hand_over(self) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        self._publisher.tick(self._host_id, done.tick, done.pulse)
        if done.statuses is not None:
            self._watch.compare(done.statuses)

    async def _rest_step(self) -> None:
        await self._lane.run(self._rest)

    async def _places_step(self) -> None:
        if not self._unplaced:  # a new round
            try:
                if not await self._lane.run(self._sampler.cells):
                    return
                self._unplaced.extend(self._watch.active())
            finally:
                self._places.done(0)
        else:
            await self._lane.run(self._place, self._unplaced)
        if not self._unplaced:
            self._sampler.looked()

    # In the lane

    def _round(self, names: Mapping[str, str]) -> None:
        end = time.monotonic() + STEP_S
        takes_both = self._takes_both()
        if takes_both:
            self._read_both(names)
        else:
            with self._fast.round():
                self._done = self._sampler.fast(self._fast.interval_s, len(self._watch.known), names)
        self._running = len(self._done.statuses or ()) if self._done else 0
        if self._contended is None:  # else a look is under way
            contended = self._sampler.contended(later=not self._finds_takers())
            self._contended = None if contended is None else deque(contended)
        if takes_both:
            self._sampler.node()
        if time.monotonic() < end:
            self._pieces(end, -math.inf if takes_both else self._fast.due)

    def _finds_takers(self) -> bool:
        """Whether to find out in this round who takes what guests lose: not in each while that is little, nor in a
        crowd, unless the host is viewed."""
        if self._is_viewed:
            return True
        interval_s = self._fast.interval_s
        pause_s = interval_s * self._crowd.stretch()
        if self._sampler.most_steal < _LITTLE_STEAL:
            pause_s = max(pause_s, self._slow.interval_s)
        pause_s = min(pause_s, _TAKERS_EVERY_S)
        early_s = interval_s / 2  # rounds are not always on time
        return pause_s <= interval_s or time.monotonic() - self._contended_at >= pause_s - early_s

    def _takes_both(self) -> bool:
        """Whether the slow tier is due before the next round, and quick enough."""
        interval_s = self._fast.interval_s
        is_due = not self._waiting and self._slow.due <= self._fast.due + interval_s
        return is_due and self._each_s * self._running <= _TOGETHER_SHARE * interval_s

    def _read_both(self, names: Mapping[str, str]) -> None:
        asked, known_s, self._each_s = time.monotonic(), self._each_s, math.inf  # when it fails or takes long
        with self._fast.round(), self._slow.round():
            self._done = self._sampler.both(self._fast.interval_s, len(self._watch.known), names)
        took_s = time.monotonic() - asked
        if took_s <= _TOO_LONG * _TOGETHER_SHARE * self._fast.interval_s:
            self._each_s = known_s
            self._note_speed(took_s, len(self._done.statuses or ()))

    def _note_speed(self, took_s: float, guests: int) -> None:
        if guests:
            self._each_s = min(took_s / guests, _SLOWER_AT_MOST * self._each_s)

    def _rest(self) -> None:
        now = time.monotonic()
        self._pieces(now + STEP_S, now)

    def _pieces(self, end: float, until: float) -> None:
        """What is due until then, piece by piece, at least one; the last ends after `end`, and the step with it. Of two
        rounds of the slow tier the second one has to wait for another step: between them there would be no time."""
        while True:
            if self._contended is not None:
                self._blame_piece(self._contended)
            elif self._waiting or self._slow.due <= until:
                self._slow_piece()
                if not self._waiting:
                    return
            else:
                return
            if time.monotonic() >= end:
                return

    def _blame_piece(self, contended: deque[str]) -> None:
        """Find some of the vCPUs; once all are found, say who took whose time. The next tick tells it."""
        self._contended = None  # should this fail, the next round is another try
        if contended:
            self._place(contended)
            self._contended = contended
        else:
            if self._sampler.attribute(measure=self._own_work.due <= time.monotonic()):
                self._own_work.done(0)
            self._contended_at = time.monotonic()

    def _place(self, guests: deque[str]) -> None:
        uuids = [guests.popleft() for _ in range(min(_PLACES_AT_ONCE, len(guests)))]
        self._sampler.place(self._watch.active_among(uuids))

    def _slow_piece(self) -> None:
        """A few guests of the slow tier."""
        began = time.monotonic()
        begins = not self._waiting
        if begins:
            self._took_s = 0
            self._waiting.extend(self._watch.active())
        try:
            self._read_some(node=begins)
        finally:
            self._took_s += time.monotonic() - began
            if not self._waiting:
                self._slow.done(self._took_s)

    def _read_some(self, *, node: bool) -> None:
        at_once = _FIRST if self._each_s == math.inf else max(1, math.floor(_PIECE_S / self._each_s))
        uuids = [self._waiting.popleft() for _ in range(min(at_once, len(self._waiting)))]
        guests = self._watch.active_among(uuids)
        if guests or node:
            asked = time.monotonic()
            self._sampler.slow(guests, node=node)
            self._note_speed(time.monotonic() - asked, len(guests))
