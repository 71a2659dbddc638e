"""Who looks at what, and what the collector does about it."""

from __future__ import annotations

import time
from unittest.mock import Mock

from hosts.collector.crowd import COMFORTABLE, Crowd
from hosts.collector.lane import Lane
from hosts.collector.publisher import Publisher
from hosts.collector.session import HostHistory, Services, Session
from hosts.collector.viewers import Viewed, read_viewed
from hosts.collector.writer import Lease, Writer
from hosts.models import Host
from vmdash.live.redis import async_client, client, watched_host_key, watched_key
from vmdash.virt.connection import HostConnection


async def test_the_guests_and_hosts_somebody_looks_at_are_found() -> None:
    for key in (watched_key("one"), watched_key("two"), watched_host_key(7)):
        client().set(key, 1, ex=60)
    redis = async_client()
    assert await read_viewed(redis) == Viewed({"one", "two"}, {7})
    await redis.aclose()


async def test_a_host_in_a_crowd_is_looked_at_soon_once_its_page_is_open() -> None:
    crowd = Crowd()
    crowd.note(1, 5 * COMFORTABLE)
    services = Services(Mock(spec=Writer), Mock(spec=Writer), Mock(spec=Publisher), Mock(spec=HostHistory), crowd)
    connection = Mock(spec=HostConnection, node=Mock(cells=lambda: ()))
    connection.name = "kvm1"
    lane = Lane("kvm1", deadline_s=5)
    session = Session(Host(pk=7, name="kvm1"), connection, lane, Lease(7, 1), services, Mock())
    *_, look = session._figures.duties()
    await look.step()

    session.view(Viewed(set(), {8}))
    assert not session._wake.is_set()
    assert look.due() - time.monotonic() > 120

    session.view(Viewed(set(), {7, 8}))
    assert session._wake.is_set()
    assert look.due() - time.monotonic() <= 30
    await lane.finish(lambda: None)
