"""Hosts stay watched, whatever fails in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from unittest.mock import Mock

import pytest
from pytest_django import Settings

from hosts.collector import host as host_module
from hosts.collector import process
from hosts.collector.crowd import Crowd
from hosts.collector.host import HostCollector
from hosts.collector.inventory import GuestInventory
from hosts.collector.process import Collector
from hosts.collector.session import Services
from hosts.collector.writer import Lease
from hosts.models import Host
from tests.factories import HostFactory
from tests.polling import poll_async
from vmdash.live.redis import client, lease_key
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import PortClosed

MANY_ATTEMPTS = 1100
"""More than there are powers of two in a float."""


class Attempts:
    """Counts the attempts to open a connection. Each fails, or gives `connection`."""

    def __init__(self, connection: HostConnection | None = None) -> None:
        self.count = 0
        self._connection = connection

    async def __call__(self, *arguments: object, **options: object) -> HostConnection:
        self.count += 1
        if self._connection is None:
            raise PortClosed.because("connect to kvm1")
        return self._connection


async def attempts_of(attempts: Attempts, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch a host until `wanted` attempts to connect were made; no pauses in between."""
    monkeypatch.setattr(host_module, "PAUSE_S", 0.0)
    monkeypatch.setattr(host_module, "open_connection", attempts)
    services = Services(Mock(), Mock(), Mock(), Mock(), Crowd())
    task = asyncio.create_task(HostCollector(HostFactory.build(pk=1), Lease(1, 1), services).run())

    async def enough() -> bool:
        return attempts.count >= wanted or task.done()

    try:
        await poll_async(enough, 30, "the attempts")
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_host_that_was_down_for_hours_is_still_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    await attempts_of(Attempts(), MANY_ATTEMPTS, monkeypatch)


async def test_a_connection_that_cannot_be_closed_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Mock(spec=HostConnection)
    connection.close.side_effect = RuntimeError("broken")

    await attempts_of(Attempts(connection), 3, monkeypatch)


@pytest.fixture
async def collector(settings: Settings) -> AsyncIterator[Collector]:
    settings.LEASE_S = 0.4
    collector = Collector(Mock(spec=GuestInventory), Mock())
    yield collector
    for watched in collector._watched.values():
        watched.task.cancel()
    await collector._redis.aclose()


async def test_a_host_whose_task_ended_is_watched_anew(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Host] = []

    async def fail(self: HostCollector) -> None:
        begun.append(self._host)
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(HostCollector, "run", fail)
    collector._hosts = {1: HostFactory.build(pk=1)}

    async def begun_twice() -> bool:
        await collector._renew()
        return len(begun) > 1

    await poll_async(begun_twice, what="the host to be watched anew")


async def test_a_database_that_hangs_costs_no_leases(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    host, free = HostFactory.build(pk=1), threading.Event()
    reads: list[int] = []

    def hang_the_second_time() -> dict[int, Host]:
        reads.append(1)
        if len(reads) > 1:
            free.wait(20)
        return {1: host}

    monkeypatch.setattr(process, "_enabled_hosts", hang_the_second_time)
    monkeypatch.setattr(HostCollector, "run", lambda self: asyncio.sleep(600))
    renew, rounds = collector._leases.renew, []

    async def count(host_ids: list[int]) -> tuple[dict[int, int], int]:
        rounds.append(len(reads))
        return await renew(host_ids)

    monkeypatch.setattr(collector._leases, "renew", count)
    tasks = [asyncio.create_task(work()) for work in (collector._follow_hosts, collector._share_hosts)]

    async def held() -> bool:
        return bool(client().exists(lease_key(1)))

    async def renewed_while_it_hangs() -> bool:
        return rounds.count(2) > 8  # far longer than a lease

    try:
        await poll_async(held, what="the lease")
        collector._look.set()
        await poll_async(renewed_while_it_hangs, what="the leases to be renewed")
        assert client().exists(lease_key(1))
    finally:
        free.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
