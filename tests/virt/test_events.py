"""Events: one small value for each thing that happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import libvirt
import pytest

from tests.libvirtd import Libvirtd
from vmdash.virt import events
from vmdash.virt.connection import HostConnection
from vmdash.virt.events import Event, GuestEvent, GuestEventKind, NetworkEvent, ObjectEventKind, PoolEvent, subscribe

WEB1 = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def seen(host: HostConnection) -> Iterator[Queue[Event]]:
    """What happens on `host`."""
    queue: Queue[Event] = Queue()
    subscription = subscribe(host, queue.put)
    yield queue
    subscription.close()


def test_a_guests_life_is_told_as_it_happens(host: HostConnection, seen: Queue[Event]) -> None:
    guest = host.guest_named("web1")
    guest.suspend()
    guest.resume()
    guest.destroy()
    guest.start()
    told = [seen.get(timeout=5) for _ in range(4)]
    assert told == [
        GuestEvent(WEB1, "web1", GuestEventKind.SUSPENDED, "paused"),
        GuestEvent(WEB1, "web1", GuestEventKind.RESUMED, "unpaused"),
        GuestEvent(WEB1, "web1", GuestEventKind.STOPPED, "destroyed"),
        GuestEvent(WEB1, "web1", GuestEventKind.STARTED, "booted"),
    ]


def test_pools_and_networks_are_told_too(host: HostConnection, seen: Queue[Event]) -> None:
    pool, network = host.pool("images"), host.network("lan")
    pool.stop()
    assert seen.get(timeout=5) == PoolEvent(pool.uuid, "images", ObjectEventKind.STOPPED)
    network.stop()
    assert seen.get(timeout=5) == NetworkEvent(network.uuid, "lan", ObjectEventKind.STOPPED)
    pool.start()
    assert seen.get(timeout=5) == PoolEvent(pool.uuid, "images", ObjectEventKind.STARTED)
    pool.refresh()
    assert seen.get(timeout=5) == PoolEvent(pool.uuid, "images", ObjectEventKind.REFRESHED)


def test_what_another_client_does_is_told_over_the_network(daemon: Libvirtd, tmp_path: Path) -> None:
    queue: Queue[Event] = Queue()
    with (
        HostConnection.open(daemon.endpoint, runtime_dir=tmp_path) as watching,
        HostConnection.open(daemon.endpoint, runtime_dir=tmp_path) as acting,
    ):
        subscription = subscribe(watching, queue.put)
        acting.guest_named("test").suspend()
        event = queue.get(timeout=5)
        assert isinstance(event, GuestEvent)
        assert (event.name, event.kind) == ("test", GuestEventKind.SUSPENDED)
        subscription.close()
        acting.guest_named("test").resume()
        acting.guests()
        watching.guests()
        assert queue.empty()


def test_a_subscription_to_a_daemon_that_is_gone_can_be_closed(daemon: Libvirtd, tmp_path: Path) -> None:
    connection = HostConnection.open(daemon.endpoint, runtime_dir=tmp_path)
    subscription = subscribe(connection, lambda event: None)
    daemon.kill()
    subscription.close()
    connection.close()


def test_the_connection_remembers_which_events_its_daemon_sends(host: HostConnection, seen: Queue[Event]) -> None:
    assert host.features.guest_events is not None
    assert libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE in host.features.guest_events


def test_every_kind_of_life_cycle_event_is_in_the_table() -> None:
    names = [name for name in vars(libvirt) if name.startswith("VIR_DOMAIN_EVENT_")]
    for number, (kind, details) in enumerate(events._LIFECYCLE):
        prefix = f"VIR_DOMAIN_EVENT_{kind.name}"
        assert getattr(libvirt, prefix) == number
        assert len([name for name in names if name.startswith(f"{prefix}_")]) == len(details)
