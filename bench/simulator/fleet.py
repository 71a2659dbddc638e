"""The hosts of the simulator with their guests, and what becomes of these."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from uuid import UUID

import numpy as np

from bench.simulator import guests
from bench.simulator.guests import Record, Shape
from bench.simulator.sheets import Row, Sheet
from bench.simulator.wire import hyper, integer, string

FIRST_ADDRESS = 127 << 24 | 64 << 16
_NAME = "vm-{host:05}-{guest:03}"
_PLACEHOLDER = _NAME.format(host=0, guest=0)
CELLS = 2
MEMORY_KIB = 256 * 1024**2
CPUS = 64

# virDomainState with virDomain…Reason
RUNNING_BOOTED, RUNNING_UNPAUSED, PAUSED_USER, OFF_DESTROYED, OFF_UNKNOWN = (1, 1), (1, 5), (3, 1), (5, 2), (5, 0)
# virDomainEventType with its detail
STARTED, SUSPENDED, RESUMED, STOPPED = (2, 0), (3, 0), (4, 0), (5, 1)


def address(number: int) -> str:
    """Where host `number` (from 1) listens."""
    packed = FIRST_ADDRESS + number
    return ".".join(str(packed >> shift & 255) for shift in (24, 16, 8, 0))


@dataclass(slots=True)
class Guest:
    """`began`: when its counters were at zero (monotonic)."""

    name: str
    uuid: bytes
    shape: Shape
    state: tuple[int, int]
    began: float
    crowded: bool

    @property
    def active(self) -> bool:
        return self.state[0] != OFF_UNKNOWN[0]

    def domain(self) -> bytes:
        """A remote_nonnull_domain."""
        return string(self.name) + self.uuid + integer(self.shape.number + 1 if self.active else -1)

    def seconds(self) -> float:
        return float(guests.effective_seconds(np.asarray(time.monotonic() - self.began)))

    def cpu(self) -> Row:
        record = _cpu_record(self.shape, self.state, self.crowded)
        return Row(self.domain(), record.body, record, self.began)

    def rest(self) -> Row:
        return self._named(_rest_record(self.shape))

    def both(self) -> Row:
        return self._named(_whole_record(self.shape, self.state, self.crowded))

    def _named(self, record: Record) -> Row:
        return Row(self.domain(), record.body.replace(_PLACEHOLDER.encode(), self.name.encode()), record, self.began)

    def xml(self, *, inactive: bool) -> bytes:
        text = _xml(self.shape, self.active and not inactive)
        return text.replace(b"@NAME@", self.name.encode()).replace(b"@UUID@", str(UUID(bytes=self.uuid)).encode())

    def info(self) -> bytes:
        """remote_domain_get_info_ret"""
        memory, cpu_ns = self.shape.memory_kib, int(self.seconds() * 10**9) if self.active else 0
        return b"".join(
            (integer(self.state[0]), hyper(memory), hyper(memory), integer(self.shape.vcpus), hyper(cpu_ns))
        )

    def vcpus(self, map_size: int) -> bytes:
        """remote_domain_get_vcpus_ret: where each is, and that it may be anywhere."""
        count, at, cpu_ns = self.shape.vcpus, int(time.monotonic() / 60), int(self.seconds() * 10**8)
        placed = (
            integer(n) + integer(1) + hyper(cpu_ns) + integer((self.shape.number * 5 + n + at) % CPUS)
            for n in range(count)
        )
        return integer(count) + b"".join(placed) + string(b"\xff" * (count * map_size))


@cache
def _cpu_record(shape: Shape, state: tuple[int, int], crowded: bool) -> Record:
    return guests.cpu_record(shape, *state, crowded=crowded)


@cache
def _rest_record(shape: Shape) -> Record:
    return guests.rest_record(shape, _PLACEHOLDER)


@cache
def _whole_record(shape: Shape, state: tuple[int, int], crowded: bool) -> Record:
    return _cpu_record(shape, state, crowded).and_then(_rest_record(shape))


@cache
def _xml(shape: Shape, live: bool) -> bytes:
    return shape.xml(live=live)


class Host:
    """One simulated libvirtd. `number` counts from 1."""

    def __init__(self, number: int, guest_count: int, *, may_hang: bool) -> None:
        self.number = number
        self.name = f"sim-{number:05}"
        self.uuid = UUID(int=number << 64 | 1, version=4)
        self.may_hang = may_hang
        self.silent = False
        self.began = time.monotonic() - 3600 - number
        self.guests = {guest.uuid: guest for guest in self._guests(guest_count)}
        self.pool_uuid = UUID(int=number << 64 | 2, version=4)
        self.network_uuid = UUID(int=number << 64 | 3, version=4)
        self._sheets: dict[tuple[Callable[[Guest], Row], tuple[bytes, ...], bool], Sheet] = {}
        """What was asked for since something last changed."""

    def _guests(self, count: int) -> Iterator[Guest]:
        for shape in guests.shapes(count):
            yield Guest(
                name=_NAME.format(host=self.number, guest=shape.number),
                uuid=UUID(int=self.number << 64 | 1000 + shape.number, version=4).bytes,
                shape=shape,
                state=RUNNING_BOOTED if shape.runs else OFF_UNKNOWN,
                began=self.began - shape.number * 7,
                crowded=self.number % 10 == 3,
            )

    def stats(self, row: Callable[[Guest], Row], named: tuple[bytes, ...], *, active: bool) -> bytes:
        """The records of the guests with these UUIDs (none named: of all), or of those of them that are active, as they
        are now."""
        sheet = self._sheets.get((row, named, active))
        if sheet is None:
            guests = [self.guests[uuid] for uuid in named or self.guests if uuid in self.guests]
            sheet = Sheet(row(guest) for guest in guests if guest.active or not active)
            self._sheets[row, named, active] = sheet
        return sheet.now()

    def change(self, guest: Guest, chance: random.Random) -> tuple[int, int]:
        """Something happens to one of its guests. Returns the event."""
        self._sheets.clear()
        if not guest.active:
            guest.state, guest.began = RUNNING_BOOTED, time.monotonic()
            return STARTED
        if guest.state == PAUSED_USER:
            guest.state = RUNNING_UNPAUSED
            return RESUMED
        if chance.random() < 0.25:
            guest.state = OFF_DESTROYED
            return STOPPED
        guest.state = PAUSED_USER
        return SUSPENDED
