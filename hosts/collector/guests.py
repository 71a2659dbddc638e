"""The guests of one host: what was handed over of each, and reading anew what may have changed."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from hosts.collector.agents import Agents
from hosts.collector.crowd import Crowd
from hosts.collector.duties import Duty
from hosts.collector.inventory import GuestMissing, GuestSeen, HostSwept, Observation
from hosts.collector.lane import Lane
from hosts.collector.reading import Read, read_guest, steady
from hosts.collector.rhythm import Rhythm
from hosts.collector.turns import Kind
from hosts.models import Host
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError, GuestNotFound
from vmdash.virt.events import GuestEvent, GuestEventKind
from vmdash.virt.guest import Guest, GuestFacts
from vmdash.virt.inventory import UnreadGuest
from vmdash.virt.states import GuestStatus

log = logging.getLogger(__name__)

_K = GuestEventKind
_RESTART_EVENTS = frozenset({_K.STARTED, _K.STOPPED, _K.CRASHED})
_STATE_EVENTS = _RESTART_EVENTS | {
    *(_K.UNDEFINED, _K.SUSPENDED, _K.RESUMED, _K.SHUTDOWN, _K.PMSUSPENDED, _K.IO_ERROR, _K.WATCHDOG),
}
"""Events after which the state is read at once."""
_FULL_EVENTS = _RESTART_EVENTS | {
    *(_K.DEFINED, _K.AGENT_CONNECTED, _K.AGENT_DISCONNECTED, _K.DEVICE_ADDED, _K.DEVICE_REMOVED),
    *(_K.BALLOON_CHANGED, _K.METADATA_CHANGED, _K.MEDIA_CHANGED),
}
"""Events after which everything about the guest is read, as soon as nothing is more urgent."""


_PAUSE_S = 0.5
"""Until it is looked again whether the writer has caught up."""

Swept = tuple[GuestFacts, Guest] | UnreadGuest
"""What a sweep finds."""


@dataclass(slots=True)
class KnownGuest:
    """What was handed over of a guest last."""

    handle: Guest
    status: GuestStatus
    facts: GuestFacts | None = None
    definition: int = 0
    """Tells definitions apart (see `reading`)."""
    snapshots: int = -1
    """How many there were; -1: not read yet."""


class GuestWatch:
    """Used on the event loop's thread; what blocks goes to the lane."""

    def __init__(
        self,
        host: Host,
        connection: HostConnection,
        lane: Lane,
        submit: Callable[[Observation], None],
        agents: Agents,
        crowd: Crowd,
        is_behind: Callable[[], bool],
    ) -> None:
        """`is_behind`: whether what was handed over waits to be written."""
        self._host_id = host.pk
        self._name = host.name
        self._crowd = crowd
        self._connection = connection
        self._lane = lane
        self._submit = submit
        self._agents = agents
        self._is_behind = is_behind
        self._sweep = Rhythm(f"{host.name}: sweep", settings.SWEEP_INTERVAL_S, crowd.stretch)
        self._states: dict[str, bool] = {}
        """Guests whose state is to be read; True: they started or stopped."""
        self._full: dict[str, bool] = {}
        """Guests to be read in full; True: because something was seen to change."""
        self._definitions: deque[str] = deque()
        self._reading: Iterator[Swept] | None = None
        """The sweep that is under way, and"""
        self._present: set[str] = set()
        """the guests it found, or that came meanwhile, and"""
        self._overtaken: set[str] = set()
        """those of which we have heard since it began: they are known better than it does."""
        self._swept = False
        self._sweeps = 0
        """How many ended."""
        self._sweep_took_s = 0.0
        self.known: dict[str, KnownGuest] = {}

    def duties(self) -> tuple[Duty, Duty, Duty, Duty]:
        """The most urgent first; others come in between."""
        return (
            Duty(lambda: 0 if self._states else math.inf, self._read_states),
            Duty(lambda: 0 if self._full else math.inf, self._read_full),
            Duty(self._sweep_due, self._continue_sweep, turns=Kind.REST),
            Duty(self._definitions_due, self._read_definitions, turns=Kind.REST),
        )

    def on_event(self, event: GuestEvent) -> None:
        if event.kind in _STATE_EVENTS:
            self._states[event.uuid] = self._states.get(event.uuid, False) or event.kind in _RESTART_EVENTS
        if event.kind in _FULL_EVENTS:
            self._full[event.uuid] = True

    def refresh(self, uuid: str) -> None:
        """Read a guest again and hand everything over, changed or not; `*` means all of them."""
        if uuid == "*":
            self._sweep.now()
        for one in [*self.known] if uuid == "*" else [uuid]:
            if known := self.known.get(one):
                known.facts, known.definition, known.snapshots = None, 0, -1
            self._full.setdefault(one, False)

    def compare(self, statuses: Mapping[str, GuestStatus]) -> None:
        """Given the states of all active guests: read again where they differ from what was handed over."""
        if not self._swept:
            return  # most are not known yet
        for uuid, status in statuses.items():
            known = self.known.get(uuid)
            if known is None:
                self._full[uuid] = True
            elif known.status is not status and known.status != status:  # nearly always it is the very same
                self._states.setdefault(uuid, False)
        for uuid in self.known.keys() - statuses.keys():
            if self.known[uuid].status.state.is_active:
                self._states.setdefault(uuid, False)

    def active(self) -> dict[str, Guest]:
        return {uuid: known.handle for uuid, known in self.known.items() if known.status.state.is_active}

    def active_among(self, uuids: Iterable[str]) -> list[Guest]:
        """Those of these guests that are active."""
        found = (self.known.get(uuid) for uuid in uuids)
        return [known.handle for known in found if known and known.status.state.is_active]

    def close(self) -> None:
        """In the lane, before the connection is closed."""
        self._crowd.leave(self._host_id)
        for known in self.known.values():
            known.handle.release()
        self.known.clear()

    # State alone

    async def _read_states(self) -> None:
        wanted, self._states = self._states, {}
        read, _ = await self._lane.some(self._states_of([*wanted]))
        for uuid, status in read:
            restarted = wanted.pop(uuid)
            known = self.known.get(uuid)
            self._overtaken.add(uuid)
            if status is None:
                self._forget(uuid)
            elif known is None:
                self._full[uuid] = True
            elif known.status != status or restarted:
                restarted = restarted and known.status.state == status.state
                known.status = status
                self._submit(GuestSeen(uuid, timezone.now(), status, witnessed=True, restarted=restarted))
        for uuid, restarted in wanted.items():  # those that are left; an event may have named them again
            self._states[uuid] = self._states.get(uuid, False) or restarted

    def _states_of(self, uuids: Iterable[str]) -> Iterator[tuple[str, GuestStatus | None]]:
        """In the lane. None: there is no such guest."""
        for uuid in uuids:
            known = self.known.get(uuid)
            try:
                yield uuid, (known.handle if known else self._connection.guest(uuid)).status()
            except GuestNotFound:
                yield uuid, None

    # Everything about one guest

    async def _read_full(self) -> None:
        uuid, witnessed = next(iter(self._full.items()))
        del self._full[uuid]
        self._overtaken.add(uuid)
        try:
            handle, facts, read = await self._lane.run(self._full_of, uuid)
        except GuestNotFound:
            self._forget(uuid)
            return
        known = self.known.setdefault(uuid, KnownGuest(handle, facts.status))
        known.handle = handle  # after a rename it knows the new name
        self._take(known, facts, witnessed=witnessed, read=read)

    def _full_of(self, uuid: str) -> tuple[Guest, GuestFacts, Read]:
        """In the lane."""
        handle, known = self._connection.guest(uuid), self.known.get(uuid)
        facts = steady(handle.facts())
        mark, number = (known.definition, known.snapshots) if known else (0, -1)
        return (
            handle,
            facts,
            read_guest(handle, active=facts.status.state.is_active, mark=mark, number=number, anew=True),
        )

    # All guests

    def _sweep_due(self) -> float:
        """What the last one found is read in full before the next begins."""
        if self._reading:
            return 0
        return math.inf if self._definitions else self._sweep.due

    def _definitions_due(self) -> float:
        """Not while what was read before still waits to be written: definitions are big."""
        if not self._definitions:
            return math.inf
        return time.monotonic() + _PAUSE_S if self._is_behind() else 0

    async def begin_sweep(self) -> list[Swept]:
        """Begin to read the facts of all guests; `take` what comes of it. The definitions follow."""
        self._reading, self._present, self._overtaken = self._facts_of_all(), set(), set()
        self._sweep_took_s = 0
        return await self._read_on()

    async def _continue_sweep(self) -> None:
        self.take(await (self._read_on() if self._reading else self.begin_sweep()))

    async def _read_on(self) -> list[Swept]:
        """The next few guests."""
        began, finished = time.monotonic(), True
        try:
            read, finished = await self._lane.some(self._reading or iter(()))
        finally:
            self._sweep_took_s += time.monotonic() - began
            if finished:  # or failed
                self._reading = None
                self._sweep.done(self._sweep_took_s)
        return read

    def take(self, read: Iterable[Swept]) -> None:
        """Hand over what differs and, once everything was read, that there is nothing else."""
        for one in read:
            if isinstance(one, UnreadGuest):
                log.warning("%s: %s %s", self._name, one.error, one.error.detail)
                self._present.add(one.uuid)
                continue
            facts, handle = one
            known = self.known.setdefault(facts.uuid, KnownGuest(handle, facts.status))
            if facts.uuid in self._overtaken:
                self._present.add(facts.uuid)
            else:
                self._take(known, facts, witnessed=False)
        if self._reading:
            return
        for uuid in self.known.keys() - self._present:
            self._forget(uuid)
        self._swept = True
        self._sweeps += 1
        self._crowd.note(self._host_id, len(self.known))
        self._submit(HostSwept(frozenset(self._present), timezone.now()))
        # Hardly a definition changes without an event. In a crowd, not every sweep reads all of them.
        everything = self._sweeps % math.ceil(self._crowd.stretch()) == 0
        self._definitions.extend(
            uuid
            for uuid in self._present.difference(self._definitions)
            if everything or (uuid in self.known and not self.known[uuid].definition)
        )

    def _facts_of_all(self) -> Iterator[Swept]:
        """In the lane."""
        for one in self._connection.inventory(self._handle):
            yield one if isinstance(one, UnreadGuest) else (steady(one[0]), one[1])

    def _handle(self, uuid: str) -> Guest:
        known = self.known.get(uuid)
        return known.handle if known else self._connection.guest(uuid)

    async def _read_definitions(self) -> None:
        read, _ = await self._lane.some(self._definitions_of(self._definitions))
        for uuid, found in read:
            known = self.known.get(uuid)
            if known and known.facts:
                self._take(known, known.facts, witnessed=False, read=found)

    def _definitions_of(self, uuids: deque[str]) -> Iterator[tuple[str, Read]]:
        """In the lane; takes off the list what it reads."""
        while uuids:
            uuid = uuids.popleft()
            if known := self.known.get(uuid):
                active = known.status.state.is_active
                try:
                    yield uuid, read_guest(known.handle, active=active, mark=known.definition, number=known.snapshots)
                except CallError as error:  # an event will tell why, or a later sweep
                    log.info("%s: %s", self._name, error)

    # Handing over

    def _take(
        self,
        known: KnownGuest,
        facts: GuestFacts,
        *,
        witnessed: bool,
        read: Read | None = None,
    ) -> None:
        """Hand over what differs from what was handed over before."""
        self._present.add(facts.uuid)
        fresh = known.facts != facts or known.status != facts.status
        if fresh:
            known.status, known.facts = facts.status, facts
        agent = None
        definition, snapshots = (read.definition, read.snapshots) if read else (None, None)
        if read:
            known.definition, known.snapshots = read.mark, read.number
        if definition:
            agent = self._agents.noticed(facts.uuid, definition.live, active=known.status.state.is_active)
        if fresh or definition or snapshots is not None:
            self._submit(
                GuestSeen(
                    facts.uuid,
                    timezone.now(),
                    known.status,
                    witnessed,
                    facts=facts if fresh else None,
                    definition=definition,
                    agent=agent,
                    snapshots=snapshots,
                )
            )

    def _forget(self, uuid: str) -> None:
        self.known.pop(uuid, None)
        self._present.discard(uuid)
        self._agents.forget(uuid)
        self._submit(GuestMissing(uuid, timezone.now()))
