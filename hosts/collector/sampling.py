"""Counters become figures: the two sampling tiers of one host, and the `Tick` and `Pulse` made of them.

The fast tier reads states and CPU of all guests in one call, the slow one the rest, a few guests at a time; a host that
is quick may be asked for both at once. A tick joins the newest of both. Everything here that asks the host runs on the
thread of the lane.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from hosts.collector.contention import Contention, busy_fractions
from hosts.collector.guest_figures import GuestFigures, percent, unknown, update_cpu, update_rest
from vmdash.live.messages import CellSample, HostSample, Pulse, Tick
from vmdash.live.publish import encode
from vmdash.metrics.lines import Reading
from vmdash.metrics.sums import HostSums
from vmdash.virt import rates, stats
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError, CallUnsupported
from vmdash.virt.guest import Guest
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.rates import CpuRates
from vmdash.virt.states import GuestStatus
from vmdash.virt.stats import GuestStats

T = TypeVar("T")

_SUMMED: tuple[Literal["rd", "wr", "rx", "tx", "swap", "rss"], ...] = ("rd", "wr", "rx", "tx", "swap", "rss")
_WORST = 5
_WORST_PERCENT = 1.0
_RECORD_TAKEN_S = 15
"""On a host with few CPUs everybody takes a little of everybody, which is thousands of pairs; charts need two readings
in a minute."""
_RECORD_PLACES_S = 20
"""Those of guests that lose CPU time are looked at more often than is worth recording."""


class History(Protocol):
    """Takes raw counters for the history store; must not block."""

    def guests(self, host: str, read: Sequence[Sequence[Reading]]) -> None:
        """Of each: its two tiers, the fast one first, or one reading of both."""

    def node(
        self, host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None, cpu_at_ms: int | None = None
    ) -> None:
        """The machine itself; its CPU times were read at `cpu_at_ms` (None: at the same time)."""

    def sums(self, host: str, at_ms: int, sums: HostSums) -> None:
        """Over the guests of a host."""

    def cells(self, host: str, at_ms: int, times: Sequence[CpuTimes], memory: Sequence[MemoryUse]) -> None:
        """Each NUMA cell of a host that has several."""

    def placed(self, host: str, at_ms: int, guest: GuestStats, cells: Mapping[int, int]) -> None:
        """How many vCPUs of a guest were seen in each NUMA cell of its host."""

    def taken(self, host: str, at_ms: int, guest: GuestStats, seconds: Mapping[str, float]) -> None:
        """CPU time that the guest lost, by the UUID of the guest that took it."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of the fast tier: what the guests do, and the messages, encoded."""

    statuses: Mapping[str, GuestStatus] | None
    """Active guests by UUID; None where the driver does not tell."""
    tick: str
    pulse: str


@dataclass(slots=True)
class _Node:
    cpu: CpuTimes | None = None
    cpu_at_ms: int | None = None
    cpu_percent: float | None = None
    memory: MemoryUse | None = None
    memory_at_ms: int | None = None
    cell_times: dict[int, CpuTimes] = field(default_factory=dict)
    cells: list[CellSample] = field(default_factory=list)
    look_began_ms: int | None = None
    looked_at_ms: int | None = None
    """When the last look began that is complete."""
    unsupported: set[str] = field(default_factory=set)


class Sampler:
    """Lives as long as a connection; what it knows of the last round makes the rates of the next."""

    def __init__(self, connection: HostConnection, host_id: int, history: History) -> None:
        self._connection = connection
        self._host_id = host_id
        self._history = history
        self._guests: dict[str, GuestFigures] = {}
        self._node = _Node()
        self._contention = Contention()
        self._sums = HostSums()
        self._elapsed_s = 0.0
        self._fast_at = 0.0
        self._fast_at_ms = 0
        self._divided_at = 0.0
        """When what `before` of each guest is was read: at the last division of what was lost, or a round ago."""
        self._recorded_at = 0.0
        """When it was recorded who took what."""
        self._holds = False
        """Whether that stays as it is, since something was lost and is not divided yet."""
        self._cpu_times: dict[int, CpuTimes] = {}

    @property
    def lacks(self) -> set[str]:
        """What the driver turned out not to tell."""
        return set(self._node.unsupported)

    @property
    def needs_names(self) -> bool:
        """Whether `fast` may need the names of guests."""
        return not self._guests or "guest statistics" in self._node.unsupported

    def fast(self, interval_s: float, guest_count: int, active: Mapping[str, str]) -> Round:
        """Read states and CPU of all guests. `active` (names by UUID) stands in where the driver has no statistics."""
        read = self._try("guest statistics", lambda: stats.fast(self._connection))
        self._take_cpu(read, active)
        return self._round(read, interval_s, guest_count)

    def both(self, interval_s: float, guest_count: int, active: Mapping[str, str]) -> Round:
        """The same, and in the same call the slow tier of all guests; `node` is left."""
        read = self._try("guest statistics", lambda: stats.both(self._connection))
        self._take_cpu(None if read is None else [one.fast() for one in read], active)
        for one in read or ():
            update_rest(self._guests[one.uuid], one, self._fast_at, self._fast_at_ms)
        self._history.guests(self._connection.name, [[(self._fast_at_ms, one)] for one in read or ()])
        return self._round(read, interval_s, guest_count)

    def _take_cpu(self, read: Sequence[GuestStats] | None, active: Mapping[str, str]) -> None:
        now = time.monotonic()
        self._fast_at_ms = int(time.time() * 1000)
        self._read_node_cpu()
        if not self._holds:
            self._divided_at = self._fast_at
        figures: dict[str, GuestFigures] = {}
        for one in read or ():
            known = self._guests.get(one.uuid)
            if known is None:
                known = GuestFigures(one.name, unknown())
            figures[one.uuid] = known
            if not self._holds:
                known.before = known.fast
            update_cpu(known, one, now)
            if self._holds and known.use is None:  # it has come, or begun anew, since the last division
                known.before = one
        if read is None:
            figures = {uuid: GuestFigures(name, unknown()) for uuid, name in active.items()}
        self._guests = figures
        self._elapsed_s, self._fast_at = now - self._fast_at if self._fast_at else 0.0, now
        self._add_steal()

    def _round(self, read: Sequence[GuestStats] | None, interval_s: float, guest_count: int) -> Round:
        statuses = None if read is None else {one.uuid: one.status for one in read}
        return Round(statuses, *self._encode(self._fast_at_ms, round(interval_s * 1000), guest_count))

    def slow(self, guests: Sequence[Guest], *, node: bool = False) -> None:
        """Read memory, disks and interfaces of these guests, and hand their counters to the history; when a round
        begins, those of the host, too."""
        if guests:
            self._read_rest(guests)
        if node:
            self.node()

    def _read_rest(self, guests: Sequence[Guest]) -> None:
        read = self._try("guest statistics", lambda: stats.slow(self._connection, guests))
        now, at_ms = time.monotonic(), int(time.time() * 1000)
        told = []
        for one in read or ():
            known = self._guests.get(one.uuid)
            if known is None or known.fast is None:
                continue  # it has come since the last round of the fast tier
            update_rest(known, one, now, at_ms)
            # A slow host may tell the rest much later than it told of CPUs: rates need the time of each.
            told.append([(self._fast_at_ms, known.fast), (at_ms, one)])
        self._history.guests(self._connection.name, told)

    def node(self) -> None:
        """Read the host's memory; its part of the slow tier."""
        node, name = self._node, self._connection.name
        node.memory = self._try("memory statistics", self._connection.node.memory_use)
        at_ms = node.memory_at_ms = int(time.time() * 1000)
        self._history.node(name, at_ms, node.cpu, node.memory, node.cpu_at_ms)
        self._add_up()
        self._history.sums(name, at_ms, self._sums)

    def _add_steal(self) -> None:
        known = [guest for guest in self._guests.values() if guest.steal_cores is not None]
        if known:
            self._sums.steal_s = (self._sums.steal_s or 0) + sum(
                guest.steal_cores or 0 for guest in known
            ) * self._elapsed_s
            self._sums.vcpu_s += sum(guest.vcpus for guest in known) * self._elapsed_s

    def _add_up(self) -> None:
        samples = [guest.sample for guest in self._guests.values()]
        self._sums.guests, self._sums.vcpus = len(samples), sum(guest.vcpus for guest in self._guests.values())
        sums = self._sums
        sums.read, sums.written, sums.received, sums.sent, sums.swapped, sums.held_kib = (
            _total([sample[key] for sample in samples]) for key in _SUMMED
        )
        sums.given_kib = _total([guest.slow.current for guest in self._guests.values()])
        busy = [(ops, sample["lat"]) for sample in samples if (ops := sample["ops"]) is not None]
        sums.requests = sum([ops for ops, _ in busy]) if busy else None
        sums.request_s = sum([ops * (latency or 0) / 1000 for ops, latency in busy]) if busy else None

    # Who takes what the guests lose

    @property
    def most_steal(self) -> float:
        """Of the guest that lost most in the last round, the share of its vCPUs' time."""
        return max((one.use.steal_mean or 0 for one in self._guests.values() if one.use), default=0)

    def contended(self, *, later: bool = False) -> list[str] | None:
        """The guests whose vCPUs `place` shall find in this round, before `attribute`; None when there is nothing to
        attribute. `later`: leave it to another round. What was lost is kept until `attribute` has divided it."""
        wanted: list[str] = []
        if not self._holds:
            wanted = self._contention.asks_for({uuid: one.use for uuid, one in self._guests.items() if one.use})
            self._holds = bool(wanted) or self._contention.remembers
        elif not later:
            of_held = self._elapsed_s / (self._fast_at - self._divided_at)
            wanted = self._contention.asks_for(self._rates(), of_held=of_held)
        return wanted if self._holds and not later else None

    def place(self, guests: Sequence[Guest]) -> None:
        """Read which physical CPUs their vCPUs are on."""
        for guest in guests:
            known = self._guests.get(guest.uuid)
            try:
                placed = self._try("places of vCPUs", guest.vcpus) or ()
            except CallError:  # it has just ended, or nobody can tell; that is no reason not to ask for the others
                if known:
                    known.places = None
                continue
            places = {vcpu.number: vcpu.cpu for vcpu in placed}
            self._contention.place(guest.uuid, places)
            if known:
                known.places = {str(number): cpu for number, cpu in places.items()}
                self._record_cells(known, places)

    def _record_cells(self, guest: GuestFigures, places: Mapping[int, int | None]) -> None:
        cells, now = self._try("NUMA cells", self._connection.node.cells) or (), time.monotonic()
        is_due = now - guest.placed_at >= _RECORD_PLACES_S
        if len(cells) > 1 and is_due and guest.fast and any(cpu is not None for cpu in places.values()):
            guest.placed_at = now
            seen = {cell.number: sum(cpu in cell.cpus for cpu in places.values()) for cell in cells}
            self._history.placed(self._connection.name, int(time.time() * 1000), guest.fast, seen)

    def cells(self) -> bool:
        """Begin to look at the NUMA cells: read how they do. Whether there are several: then it matters where vCPUs
        are, also while none of them waits, and the look ends once all are found (`looked`)."""
        node = self._connection.node
        if len(self._try("NUMA cells", node.cells) or ()) < 2:
            return False
        cpu = self._try("CPU statistics", lambda: node.cpu_stats(per_cpu=True))
        memory = self._try("memory statistics", node.memory_stats)
        before, times = self._node.cell_times, {cell.number: cell for cell in cpu.cells} if cpu else {}
        self._node.cell_times = times
        at_ms = self._node.look_began_ms = int(time.time() * 1000)
        self._history.cells(self._connection.name, at_ms, list(times.values()), memory.cells if memory else ())
        self._node.cells = [
            {
                "cell": cell.number,
                "cpu": _busy_percent(before[cell.number], times[cell.number])
                if cell.number in before and cell.number in times
                else None,
                "mem_free": cell.free_kib,
                "mem_total": cell.total_kib,
            }
            for cell in (memory.cells if memory else ())
        ]
        return True

    def looked(self) -> None:
        """A look is complete."""
        self._node.looked_at_ms = self._node.look_began_ms

    def attribute(self, *, measure: bool = True) -> bool:
        """Divide what was lost since the last division among those who took it. `measure`: begin to find out what the
        host itself does on those CPUs, which takes a call for each, now and at the next division. Returns whether that
        is known now; until then it counts as none."""
        rates, before, elapsed_s = self._rates(), self._cpu_times, self._fast_at - self._divided_at
        wanted = self._contention.waiting_cpus(rates) if measure or before else set()
        now = self._times_of(wanted) if wanted else {}
        busy = busy_fractions(before, now)
        self._contention.divide(rates, busy, elapsed_s)
        self._holds = False
        self._cpu_times = {} if before else now
        at_ms = int(time.time() * 1000)
        if self._fast_at - self._recorded_at >= _RECORD_TAKEN_S:
            self._recorded_at = self._fast_at
            for uuid, seconds in self._contention.taken.items():
                if (known := self._guests.get(uuid)) and known.fast:
                    self._history.taken(self._connection.name, at_ms, known.fast, seconds)
        return bool(busy)

    def _times_of(self, cpus: set[int]) -> dict[int, CpuTimes]:
        """None when one cannot be read, such as one that was taken offline: all the rest can be divided."""
        try:
            return dict(self._try("CPU statistics", lambda: self._connection.node.times_of(cpus)) or {})
        except CallError:
            return {}

    def _rates(self) -> dict[str, CpuRates]:
        """Since the last division."""
        elapsed_s = self._fast_at - self._divided_at
        return {
            uuid: found
            for uuid, one in self._guests.items()
            if one.before and one.fast and (found := rates.cpu(one.before, one.fast, elapsed_s))
        }

    def _read_node_cpu(self) -> None:
        read = self._try("CPU statistics", self._connection.node.cpu_stats)
        before, after = self._node.cpu, read.total if read else None
        self._node.cpu, self._node.cpu_at_ms = after, int(time.time() * 1000)
        self._node.cpu_percent = _busy_percent(before, after) if before and after else None

    def _try(self, what: str, call: Callable[[], T]) -> T | None:
        """None where the driver does not have it, which is asked once only."""
        if what in self._node.unsupported:
            return None
        try:
            return call()
        except CallUnsupported:
            self._node.unsupported.add(what)
            return None

    def _encode(self, at_ms: int, interval_ms: int, guest_count: int) -> tuple[str, str]:
        sample = self._host_sample(guest_count)
        tick: Tick = {
            "type": "tick",
            "host": self._host_id,
            "at": at_ms,
            "interval_ms": interval_ms,
            "sample": sample,
            "guests": {uuid: figures.sample for uuid, figures in self._guests.items()},
            "blames": self._contention.blames(),
            "cells": self._node.cells,
            "places": {uuid: figures.places for uuid, figures in self._guests.items() if figures.places},
            "looked_at": self._node.looked_at_ms,
        }
        stealing = (
            (figures.sample["steal"] or 0, uuid, figures.name)
            for uuid, figures in self._guests.items()
            if (figures.sample["steal"] or 0) >= _WORST_PERCENT
        )
        pulse: Pulse = {
            "type": "pulse",
            "host": self._host_id,
            "at": at_ms,
            "interval_ms": interval_ms,
            "sample": sample,
            "worst": [(uuid, name, steal) for steal, uuid, name in heapq.nlargest(_WORST, stealing)],
        }
        return encode(tick), encode(pulse)

    def _host_sample(self, guest_count: int) -> HostSample:
        known = [figures for figures in self._guests.values() if figures.steal_cores is not None]
        vcpus = sum(figures.vcpus for figures in known)
        memory = self._node.memory
        return {
            "cpu": self._node.cpu_percent,
            "steal": percent(sum(figures.steal_cores or 0 for figures in known) / vcpus) if vcpus else None,
            "mem": memory.total_kib - _available_kib(memory) if memory else None,
            "mem_total": memory.total_kib if memory else None,
            "running": len(self._guests),
            "vcpus": vcpus,
            "guests": guest_count,
            "slow_at": self._node.memory_at_ms,
        }


def _total(values: Iterable[int | None]) -> int | None:
    """None when none is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _available_kib(memory: MemoryUse) -> int:
    return memory.free_kib + (memory.buffers_kib or 0) + (memory.cached_kib or 0)


def _busy_percent(before: CpuTimes, after: CpuTimes) -> float | None:
    busy_ns = after.busy_ns - before.busy_ns
    total_ns = busy_ns + after.idle_ns - before.idle_ns + after.iowait_ns - before.iowait_ns
    if busy_ns < 0 or total_ns <= 0:  # the host was restarted
        return None
    return round(min(100.0, 100 * busy_ns / total_ns), 1)
