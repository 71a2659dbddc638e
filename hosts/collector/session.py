"""One open connection. One step after the other goes to the lane, always the most urgent of what is due.

Guests that an event named come first, then figures, then what else an event changed, then the sweep and the rest. Every
step is short, so nothing waits for long.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from django.conf import settings
from django.utils import timezone

from hosts.collector.actor import Actor
from hosts.collector.agents import Agents
from hosts.collector.crowd import Crowd
from hosts.collector.duties import Duty
from hosts.collector.facts import collect, read_host
from hosts.collector.figures import Figures
from hosts.collector.guests import GuestWatch
from hosts.collector.inventory import GuestSeen, SeenAgent
from hosts.collector.lane import Lane
from hosts.collector.publisher import Publisher
from hosts.collector.rhythm import Rhythm
from hosts.collector.sampling import History, Sampler
from hosts.collector.screens import Screens
from hosts.collector.survey import PoolHistory
from hosts.collector.turns import Kind, Turn, Turns
from hosts.collector.viewers import Viewed
from hosts.collector.waiting import wait
from hosts.collector.writer import HostSeen, Lease, Writer
from hosts.models import Host
from vmdash.virt import events
from vmdash.virt.connection import CloseReason, HostConnection
from vmdash.virt.errors import CallError, ConnectionLost
from vmdash.virt.events import Event, GuestEvent, PoolEvent
from vmdash.virt.guest import Guest
from vmdash.virt.states import GuestState

log = logging.getLogger(__name__)


class HostHistory(History, PoolHistory, Protocol):
    """All that is recorded of a host."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all hosts of a collector share."""

    writer: Writer
    storage_writer: Writer
    """For pools and volumes."""
    publisher: Publisher
    history: HostHistory
    crowd: Crowd


class Session:
    """`run` ends with a HostError when the connection is lost or a call hangs."""

    def __init__(
        self,
        host: Host,
        connection: HostConnection,
        lane: Lane,
        lease: Lease,
        services: Services,
        on_pool_event: Callable[[PoolEvent], None],
    ) -> None:
        self._host = host
        self._on_pool_event = on_pool_event
        self._connection = connection
        self._lane = lane
        self._submit = partial(services.writer.submit, lease)
        self._wake = asyncio.Event()
        self._turns: dict[Kind, Turn] = {}
        """Those we asked for and have not had yet."""
        self._closed: CloseReason | None = None
        self.answered_at = timezone.now()
        self._subscription: events.Subscription | None = None
        self._actor = Actor(host, lane)
        self._agents = Agents(lane, self._actor, services.crowd, handle=self._running, report=self._report_agent)
        self._watch = GuestWatch(
            host, connection, lane, self._submit, self._agents, services.crowd, services.writer.is_behind
        )
        self._sampler = Sampler(connection, host.pk, services.history)
        self._figures = Figures(host, lane, self._sampler, self._watch, services.publisher, services.crowd)
        show = partial(services.publisher.screen, host.pk)
        self._screens = Screens(lane, self._actor, show, lambda: self._watch.active().keys())
        self._host_rhythm = Rhythm(f"{host.name}: host", settings.SWEEP_INTERVAL_S, services.crowd.stretch)
        self._host_reading: Iterator[dict[str, Any]] | None = None
        self._host_pieces: list[dict[str, Any]] = []
        self._host_columns: dict[str, Any] = {}
        states, full, sweep, definitions = self._watch.duties()
        tick, figures_left, places = self._figures.duties()
        of_host = Duty(lambda: 0 if self._host_reading else self._host_rhythm.due, self._read_host, turns=Kind.REST)
        screens, agents = self._screens.duty(), self._agents.duty()
        self._duties = (states, tick, full, figures_left, sweep, of_host, definitions, places, screens, agents)

    # Called on the event loop's thread

    def on_event(self, event: Event) -> None:
        if isinstance(event, GuestEvent):
            self._watch.on_event(event)
        elif isinstance(event, PoolEvent):
            self._on_pool_event(event)
        else:
            self._host_rhythm.now()
        self._wake.set()

    def on_close(self, reason: CloseReason) -> None:
        self._closed = reason
        self._wake.set()

    def refresh(self, uuid: str) -> None:
        """Read a guest again and hand everything over; `*`: the whole host."""
        if uuid == "*":
            self._host_rhythm.now()
            self._host_columns = {}
        self._watch.refresh(uuid)
        self._wake.set()

    def view(self, viewed: Viewed) -> None:
        """The guests and hosts whose pages are open."""
        screens = self._screens.watch(viewed.guests)
        if self._figures.view(self._host.pk in viewed.hosts) or screens:
            self._wake.set()

    # The work

    async def run(self, ready: Callable[[], None]) -> None:
        """Calls `ready` once the host has told what guests it has, and before that is handed over."""
        self._subscription = await self._lane.run(self._subscribe)
        with await Turns.of_this_loop(Kind.REST).wait():
            first = await self._watch.begin_sweep()
        ready()
        self._watch.take(first)
        try:
            while self._closed is None:
                self._wake.clear()
                now = time.monotonic()
                if not await self._do_next(now):
                    await wait(
                        self._wake, min((due for duty in self._duties if (due := duty.due()) > now), default=math.inf)
                    )
        finally:
            self._give_back([*self._turns])
        raise ConnectionLost.because("watch the guests", self._host.name, detail=f"It was closed: {self._closed}.")

    def close(self) -> None:
        """In the lane, as the last thing."""
        self._watch.close()
        self._actor.close()
        if self._subscription:
            self._subscription.close()
        self._connection.close()

    def _subscribe(self) -> events.Subscription:
        self._connection.on_close(self.on_close)
        return events.subscribe(self._connection, self.on_event)

    async def _do_next(self, now: float) -> bool:
        """A step of the most urgent duty that is due. False: there is none, or it is not our turn."""
        for duty in self._duties:
            if duty.due() <= now and (turn := self._turn(duty.turns)):
                await self._do(duty, turn)
                return True
        self._give_back([kind for kind, turn in self._turns.items() if turn.has_come])  # what for, is not due any more
        return False

    def _turn(self, kind: Kind | None) -> AbstractContextManager[None] | None:
        """None when it is not ours yet; once it is, we are woken."""
        if kind is None:
            return nullcontext()
        turn = self._turns.pop(kind, None) or Turns.of_this_loop(kind).ask(self._wake.set)
        if turn.has_come:
            return turn
        self._turns[kind] = turn
        return None

    def _give_back(self, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            self._turns.pop(kind).end()

    async def _do(self, duty: Duty, turn: AbstractContextManager[None]) -> None:
        try:
            with turn:
                await duty.step()
        except CallError as error:  # about one guest or one function; the connection is as good as before
            log.warning("%s: %s %s", self._host.name, error, error.detail)
        self.answered_at = timezone.now()

    async def _read_host(self) -> None:
        if self._host_reading is None:
            self._host_reading, self._host_pieces = read_host(self._connection, node=not self._host_columns), []
        finished = True
        try:
            pieces, finished = await self._lane.some(self._host_reading)
        finally:
            if finished:  # or failed
                self._host_reading = None
                self._host_rhythm.done(0)
        self._host_pieces += pieces
        if finished:
            self._take_host({**self._host_columns, **collect(self._host_pieces)})

    def _take_host(self, columns: dict[str, Any]) -> None:
        columns["lacks"] = sorted(self._sampler.lacks | ({"read-write connections"} if self._actor.refused else set()))
        changed = {name: value for name, value in columns.items() if self._host_columns.get(name, ...) != value}
        self._host_columns = columns
        self._submit(HostSeen({**changed, "last_seen_at": timezone.now()}))

    def _running(self, uuid: str) -> Guest | None:
        known = self._watch.known.get(uuid)
        return known.handle if known and known.status.state is GuestState.RUNNING else None

    def _report_agent(self, uuid: str, seen: SeenAgent) -> None:
        if known := self._watch.known.get(uuid):
            self._submit(GuestSeen(uuid, timezone.now(), known.status, witnessed=False, agent=seen))
