"""Reading all guests of a host anew."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from unittest.mock import Mock
from uuid import uuid4

import pytest
from pytest_django import Settings

from hosts.collector.agents import Agents
from hosts.collector.crowd import COMFORTABLE, Crowd
from hosts.collector.duties import Duty
from hosts.collector.guests import GuestWatch
from hosts.collector.inventory import GuestSeen, HostSwept, Observation
from hosts.collector.lane import Lane
from hosts.models import Host
from tests.collector.seen import definition, facts
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import HypervisorError
from vmdash.virt.guest import Guest, GuestFacts
from vmdash.virt.inventory import UnreadGuest

GOOD, BAD = uuid4(), uuid4()
Told = list[Observation]
Inventory = Callable[[object], Iterator[tuple[GuestFacts, Guest] | UnreadGuest]]
MakeWatch = Callable[..., tuple[GuestWatch, Told]]


@pytest.fixture
async def watch_of() -> AsyncIterator[MakeWatch]:
    """The watch over a host that has what it is given, and what the watch hands over."""
    lane = Lane("kvm1", deadline_s=5)

    def make(inventory: Inventory, crowd: Crowd | None = None) -> tuple[GuestWatch, Told]:
        told: Told = []
        connection = Mock(spec=HostConnection, inventory=inventory)
        host, agents = Host(pk=1, name="kvm1"), Mock(spec=Agents)
        return GuestWatch(host, connection, lane, told.append, agents, crowd or Crowd(), lambda: False), told

    yield make
    await lane.finish(lambda: None)


async def sweep(watch: GuestWatch) -> None:
    watch.take(await watch.begin_sweep())
    await finish(watch.duties()[2])


async def finish(duty: Duty) -> None:
    while duty.due() == 0:
        await duty.step()


def guest_with_definition(read: list[str]) -> Mock:
    """`read` gets what is read of it."""
    seen = definition(GOOD)

    def xml(*, inactive: bool = False) -> str:
        read.append("stored" if inactive else "live")
        return seen.xml

    raw = Mock(snapshotNum=lambda *_: 0, listAllSnapshots=lambda *_: [])
    return Mock(spec=Guest, uuid=str(GOOD), host="kvm1", xml=xml, raw=raw)


async def test_a_guest_that_cannot_be_read_stays_and_the_others_are_read(watch_of: MakeWatch) -> None:
    def inventory(_: object) -> Iterator[tuple[GuestFacts, Guest] | UnreadGuest]:
        yield UnreadGuest(str(BAD), HypervisorError.because("read broken", "kvm1"))
        yield facts(GOOD), Mock(spec=Guest)

    watch, told = watch_of(inventory)
    await sweep(watch)

    assert [one.uuid for one in told if isinstance(one, GuestSeen)] == [str(GOOD)]
    (swept,) = [one for one in told if isinstance(one, HostSwept)]
    assert swept.uuids == {str(GOOD), str(BAD)}


async def test_a_slow_host_is_swept_less_often(watch_of: MakeWatch, settings: Settings) -> None:
    """Half of the time at most, however many steps the sweep takes."""
    settings.SWEEP_INTERVAL_S = 0.01
    each_s, number = 0.04, 5

    def slowly(_: object) -> Iterator[tuple[GuestFacts, Guest] | UnreadGuest]:
        for _ in range(number):
            time.sleep(each_s)
            yield facts(uuid4()), Mock(spec=Guest)

    watch, _ = watch_of(slowly)
    await sweep(watch)

    assert watch.duties()[2].due() - time.monotonic() > each_s * number * 0.8


async def test_in_a_crowd_not_every_sweep_reads_the_definitions_that_are_known(watch_of: MakeWatch) -> None:
    read: list[str] = []
    guest, crowd = guest_with_definition(read), Crowd()
    crowd.note(2, 3 * COMFORTABLE // 2)

    def inventory(_: object) -> Iterator[tuple[GuestFacts, Guest] | UnreadGuest]:
        yield facts(GOOD), guest

    watch, _ = watch_of(inventory, crowd)
    numbers = []
    for _ in range(5):
        read.clear()
        await sweep(watch)
        await finish(watch.duties()[3])
        numbers.append(len(read))

    assert numbers[0] > 0, "it was not known"
    assert sorted(numbers[1:]) == [0, 0, numbers[0], numbers[0]]
