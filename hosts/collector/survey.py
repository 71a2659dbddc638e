"""The storage of one host: its pools every minute, the volumes in them every few minutes and whenever they change.

A pool on a dead file server hangs, and with it every call that so much as lists the pools; so this has a connection and
a thread of its own, and figures and events of the host do not wait for it. It asks nothing that changes the host: to
have a pool looked through again is up to people and jobs.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from django.conf import settings
from django.utils import timezone

from hosts.collector.crowd import Crowd
from hosts.collector.facts import pool_columns
from hosts.collector.inventory import PoolSeen, PoolsSwept, StorageSilent
from hosts.collector.lane import Lane
from hosts.collector.opening import KEEPALIVE_SURVEY, open_connection
from hosts.collector.rhythm import Rhythm
from hosts.collector.turns import Kind, Turns
from hosts.collector.waiting import wait
from hosts.collector.writer import HostSeen, Lease, Writer
from hosts.models import Host
from vmdash.exceptions import VmdashError
from vmdash.live.redis import STORAGE
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError, ConnectionLost, HostHung, PoolNotFound
from vmdash.virt.events import PoolEvent
from vmdash.virt.pool import Pool, PoolFacts, PoolState
from vmdash.virt.volume import Volume
from vmdash.virt.xml.volume import VolumeDefinition

log = logging.getLogger(__name__)

DEADLINE_S = 60
"""How long a call may take. Longer than elsewhere: while a big pool is looked through, its host lets everybody wait."""
PAUSE_S = 10
"""After something went wrong; and how often it is looked whether a call that hung has come back."""
PAUSE_BEHIND_S = 1
"""While what was read before waits to be written."""
LEAVE_S = 2
"""How long the end waits for a call that is under way."""
_READABLE = (PoolState.RUNNING, PoolState.DEGRADED)


class PoolHistory(Protocol):
    """Takes how full pools are for the history store; must not block."""

    def pool(self, host: str, at_ms: int, pool: PoolFacts, promised_bytes: int | None) -> None:
        """`promised_bytes`: the capacity of its volumes, added up; None while that is not known."""


class Survey:
    """`run` goes on until its task is cancelled. Used on the event loop's thread."""

    def __init__(self, host: Host, lease: Lease, writer: Writer, history: PoolHistory, crowd: Crowd) -> None:
        self._host = host
        self._crowd = crowd
        self._history = history
        self._submit = partial(writer.submit, lease)
        self._is_behind = writer.is_behind
        self._up = asyncio.Event()
        self._wake = asyncio.Event()
        self._rhythm = Rhythm(f"{host.name}: pools", settings.SWEEP_INTERVAL_S, crowd.stretch)
        self._wanted: set[str] = set()
        """UUIDs of pools that were asked for; an empty one stands for all."""
        self._due: dict[str, float] = {}
        """When the volumes of each pool are to be read."""
        self._facts: dict[str, PoolFacts] = {}
        """What was handed over of each pool, since that was last asked for."""
        self._watched: frozenset[str] | None = None
        """UUIDs of the pools that were read in the round before; None: this connection had none yet."""
        self._promised: dict[str, int] = {}
        """The capacity of the volumes of each pool, added up, in bytes, as they were read last."""
        self._columns: dict[str, Any] = {}
        self._reading = ("", "")
        """UUID and name of the pool that is being read."""

    def host_is_up(self, up: bool) -> None:
        """Whether the host answers; while it does not, nobody asks it for its storage."""
        if up:
            self._up.set()
        else:
            self._up.clear()

    def on_event(self, event: PoolEvent) -> None:
        self.request(event.uuid)

    def request(self, uuid: str) -> None:
        """Read the volumes of this pool again at once, or those of all pools when `uuid` is empty."""
        self._wanted.add(uuid)
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._up.wait()
            lane = Lane(f"{self._host.name}-storage", DEADLINE_S)
            opened: list[HostConnection] = []
            try:
                opened.append(await open_connection(self._host, lane, read_only=True, keepalive=KEEPALIVE_SURVEY))
                self._watched = None
                self._promised.clear()
                self.request("")
                await self._watch(opened[0], lane)
            except HostHung as error:
                log.warning("%s: %s", self._host.name, error)
                self._say_silent()
                while lane.is_busy:  # another one would hang, too
                    await asyncio.sleep(PAUSE_S)
            except ConnectionLost as error:
                log.info("%s: %s", self._host.name, error)
            except VmdashError as error:
                log.warning("%s: its storage cannot be read: %s %s", self._host.name, error, error.detail)
            except Exception:  # a fault of ours with this host must not stop the others
                log.exception("%s: the survey of its storage failed; it begins anew", self._host.name)
            finally:
                await lane.finish(partial(_close, opened), patience_s=LEAVE_S)
            await asyncio.sleep(PAUSE_S * random.uniform(0.6, 1))  # noqa: S311

    def _say_silent(self) -> None:
        uuid, name = self._reading
        what = f"pool {name}" if name else "its storage; one of its pools may hang"
        self._submit(
            StorageSilent(f"{self._host.name} has not answered for {DEADLINE_S} s when asked for {what}.", uuid)
        )

    async def _watch(self, connection: HostConnection, lane: Lane) -> None:
        while True:
            self._wake.clear()
            if self._next() <= time.monotonic():
                await self._round(connection, lane)
            else:
                await wait(self._wake, self._next())

    def _next(self) -> float:
        return 0 if self._wanted else min([self._rhythm.due, *self._due.values()])

    def _take_requests(self) -> None:
        """What is asked for is handed over anew even if nothing changed: what a job wrote meanwhile may differ."""
        wanted, self._wanted = self._wanted, set()
        if "" in wanted:
            self._due.clear()
            self._facts.clear()
            self._columns = {}
        for uuid in wanted - {""}:
            self._due[uuid] = 0.0
            self._facts.pop(uuid, None)

    async def _round(self, connection: HostConnection, lane: Lane) -> None:
        """The facts of all pools, then the volumes of those whose turn it is."""
        self._take_requests()
        self._reading = ("", "")
        at = timezone.now()
        found: list[tuple[Pool, PoolFacts | None]] = []
        with self._rhythm.round():
            reading, finished, turns = _pools(connection), False, Turns.of_this_loop(Kind.REST)
            while not finished:
                with await turns.wait():
                    some, finished = await lane.some(reading)
                found += some
        present = {facts.uuid: facts for _, facts in found if facts}
        before, self._watched = self._watched, frozenset(present)
        for facts in present.values():
            promised = self._promised.get(facts.uuid)
            self._history.pool(self._host.name, int(at.timestamp() * 1000), facts, promised)
            if self._facts.get(facts.uuid) != facts:
                self._facts[facts.uuid] = facts
                self._submit(PoolSeen(facts, at, witnessed=facts.uuid in (before or ())))
        columns = pool_columns(present.values())
        if columns != self._columns:
            self._columns = columns
            self._submit(HostSeen(columns))
        self._submit(PoolsSwept(frozenset(pool.uuid for pool, _ in found), at, witnessed=before is not None))
        for known in (self._facts, self._due, self._promised):
            for uuid in known.keys() - present.keys():
                del known[uuid]
        for pool, _ in found:
            told = present.get(pool.uuid)
            if told is None or told.state not in _READABLE:
                self._due.pop(pool.uuid, None)
                self._promised.pop(pool.uuid, None)
            elif self._due.get(pool.uuid, 0) <= time.monotonic():
                await self._read_volumes(pool, told, at, lane)

    async def _read_volumes(self, pool: Pool, facts: PoolFacts, facts_at: datetime, lane: Lane) -> None:
        """Together with its facts as they are then: those that are known, of `facts_at`, may be minutes old."""
        while self._is_behind():
            await asyncio.sleep(PAUSE_BEHIND_S)
        self._reading = (facts.uuid, facts.name)
        began, at = time.monotonic(), timezone.now()
        interval_s = settings.STORAGE_INTERVAL_S * self._crowd.stretch()
        self._due[facts.uuid] = began + interval_s * random.uniform(0.8, 1)  # noqa: S311
        volumes: list[VolumeDefinition] = []
        try:
            reading, finished, turns = _volumes(pool), False, Turns.of_this_loop(Kind.REST)
            while not finished:
                with await turns.wait():
                    some, finished = await lane.some(reading)
                volumes += some
            read_at = timezone.now()
            facts = self._facts[facts.uuid] = await lane.run(pool.facts)
        except CallError as error:
            self._promised.pop(facts.uuid, None)
            await self._say_trouble(error, pool, facts, facts_at, lane)
            return
        self._promised[facts.uuid] = sum(volume.capacity_bytes for volume in volumes)
        self._submit(PoolSeen(facts, read_at, tuple(volumes), at))
        took_s = time.monotonic() - began
        self._due[facts.uuid] = max(self._due[facts.uuid], time.monotonic() + 10 * took_s)

    async def _say_trouble(
        self, error: CallError, pool: Pool, facts: PoolFacts, facts_at: datetime, lane: Lane
    ) -> None:
        """Its volumes cannot be read: most often because it was stopped, or undefined, since its facts were read."""
        at = timezone.now()
        try:
            facts, facts_at = await lane.run(pool.facts), at
        except PoolNotFound:
            return  # the next round says so
        except CallError as further:
            log.info("%s", further)
        self._facts[facts.uuid] = facts
        trouble = str(error) if facts.state in _READABLE else ""
        self._submit(PoolSeen(facts, facts_at, trouble=trouble))


def _close(connections: Iterable[HostConnection]) -> None:
    """In the lane."""
    for connection in connections:
        connection.close()


def requested_pool(request: str) -> str | None:
    """The pool (empty: all) that a refresh request is about; None when it is about a guest."""
    marker, _, uuid = request.partition(":")
    return uuid if marker == STORAGE else None


def _pools(connection: HostConnection) -> Iterator[tuple[Pool, PoolFacts | None]]:
    """Each pool with its facts, or None where they cannot be read. Those that vanish meanwhile are left out."""
    for pool in connection.pools():
        try:
            yield pool, pool.facts()
        except PoolNotFound:
            continue
        except CallError as error:
            log.warning("%s %s", error, error.detail)
            yield pool, None


def _volumes(pool: Pool) -> Iterator[VolumeDefinition]:
    for volume in pool.volumes():
        if definition := _definition(volume):
            yield definition


def _definition(volume: Volume) -> VolumeDefinition | None:
    try:
        return volume.definition()
    except CallError as error:  # its file is gone, or not what it was
        log.info("%s", error)
        return None
