"""Raw counters on their way to the history store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest
from django.conf import settings as django_settings

from tests.polling import poll_async
from vmdash.metrics import writer as writer_module
from vmdash.metrics.coarse import Coarse
from vmdash.metrics.sums import HostSums
from vmdash.metrics.writer import HistoryWriter
from vmdash.virt.counters import Counters
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.pool import PoolFacts, PoolState
from vmdash.virt.stats import GuestStats

NAME = r'web "1", a=\b'
CPU = GuestStats("u-1", NAME, Counters.of({"cpu.time": 1_500_000_000, "vcpu.current": 1, "vcpu.maximum": 0}))
REST = GuestStats("u-1", NAME, Counters.of({"block.0.name": "vda", "block.0.capacity": 8}))


@asynccontextmanager
async def running(writer: HistoryWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def values(query: str) -> list[tuple[dict[str, str], float]]:
    """What the store has now."""
    async with httpx.AsyncClient(base_url=django_settings.TSDB_URL) as store:
        answer = await store.get("/api/v1/query", params={"query": query})
    return [(one["metric"], float(one["value"][1])) for one in answer.json()["data"]["result"]]


async def times(query: str, at_least: int = 0) -> list[float]:
    """When the points of one series are, in Unix seconds; none while there are fewer than that."""
    async with httpx.AsyncClient(base_url=django_settings.TSDB_URL) as store:
        answer = await store.get("/api/v1/query", params={"query": query})
    found = [float(at) for one in answer.json()["data"]["result"] for at, _ in one["values"]]
    return found if len(found) >= at_least else []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "INTERVAL_S", 0.01)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.01)


async def test_counters_arrive_under_the_exporters_names(victoria_metrics: str, quick: None) -> None:
    writer = HistoryWriter()
    at_ms = int(time.time() * 1000)
    writer.guests("one", [[(at_ms, CPU), (at_ms, REST)]])
    writer.node("one", at_ms, CpuTimes(-1, 2_000_000_000, 0, 0, 0), MemoryUse(-1, 4, 1, None, None))

    async with running(writer):
        [(labels, seconds)] = await poll_async(
            lambda: values('libvirt_domain_info_cpu_time_seconds_total{host="one"}'), 10
        )

    assert labels == {
        "__name__": "libvirt_domain_info_cpu_time_seconds_total",
        "host": "one",
        "domain": NAME,
        "uuid": "u-1",
    }
    assert seconds == 1.5
    assert [value for _, value in await values('libvirt_node_cpu_seconds_total{host="one",mode="user"}')] == [2]
    assert [value for _, value in await values('libvirt_node_memory_total_bytes{host="one"}')] == [4096]
    assert await values('libvirt_node_memory_cached_bytes{host="one"}') == []


async def test_sums_cells_pools_and_the_coarse_copy_arrive(victoria_metrics: str, quick: None) -> None:
    writer = HistoryWriter()
    at_ms = int(time.time() * 1000)
    writer.sums("five", at_ms, HostSums(steal_s=3.5, vcpu_s=100, guests=2, read=7, given_kib=5))
    pool = PoolFacts("p-1", "default", "dir", PoolState.RUNNING, True, True, 100, 40, 60, "/images")
    writer.pool("five", at_ms, pool, 250)
    writer.pool("five", at_ms, replace(pool, name="unread"), None)
    writer.pool("five", at_ms, replace(pool, name="off", capacity_bytes=0), 250)
    writer.cells("five", at_ms, [CpuTimes(1, 3 * 10**9, 0, 5 * 10**9, 0)], [MemoryUse(1, 8, 2, None, None)])
    writer.placed("five", at_ms, CPU, {0: 2, 1: 0})
    writer.guests("five", [[(at_ms, CPU), (at_ms, REST)]])

    async with running(writer):
        await poll_async(lambda: values('{__name__="coarse:libvirt_domain_info_virtual_cpus",host="five"}'), 20)

    found = {labels["__name__"]: value for labels, value in await values('{host="five",__name__!~".*domain.*"}')}
    assert found["vmdash_host_steal_seconds_total"] == 3.5
    assert found["vmdash_host_block_read_bytes_per_second"] == 7
    assert "vmdash_host_block_write_bytes_per_second" not in found
    assert found["vmdash_host_guest_balloon_bytes"] == 5 * 1024
    assert "vmdash_host_guest_memory_bytes" not in found
    assert found["libvirt_node_cell_memory_free_bytes"] == 2048
    seen = await values('vmdash_domain_cell_vcpus{host="five"}')
    assert {labels["cell"]: value for labels, value in seen} == {"0": 2, "1": 0}
    assert [value for _, value in await values('libvirt_node_cell_cpu_seconds_total{host="five",mode="idle"}')] == [5]
    free = await values('libvirt_pool_info_available_bytes{host="five"}')
    assert {labels["pool"] for labels, _ in free} == {"default", "unread"}
    promised = await values('vmdash_pool_promised_bytes{host="five"}')
    assert [(labels["pool"], labels["uuid"], value) for labels, value in promised] == [("default", "p-1", 250)]


def test_the_coarse_copy_is_one_reading_in_ten_minutes() -> None:
    coarse = Coarse()
    copied = [at for at in range(0, 86_400_000, 10_000) if "coarse:" in coarse.with_copy("u-1", at, "a 1\n")]
    assert len(copied) in (144, 145)
    assert {later - earlier for earlier, later in pairwise(copied[1:])} == {600_000}
    assert coarse.with_copy("u-2", 0, "a 1\nb 2\n") == "a 1\nb 2\ncoarse:a 1\ncoarse:b 2\n"


async def test_what_hardly_ever_changes_is_sent_once_a_minute_and_is_in_each_coarse_copy(
    victoria_metrics: str, quick: None
) -> None:
    writer, began_ms = HistoryWriter(), int(time.time() * 1000) - 1_500_000
    for at_ms in range(began_ms, began_ms + 1_200_000, 10_000):
        writer.guests("steady", [[(at_ms, CPU), (at_ms, REST)]])

    async with running(writer):
        often = await poll_async(lambda: times('libvirt_domain_info_virtual_cpus{host="steady"}[1h]', 120), 20)
        sizes = 'libvirt_domain_block_stats_capacity_bytes{host="steady"}[1h]'
        seldom = await poll_async(lambda: times(sizes, 20), 20)
        copies = await poll_async(lambda: times(f"coarse:{sizes}", 2), 20)

    assert {later - earlier for earlier, later in pairwise(often)} == {10}
    assert {later - earlier for earlier, later in pairwise(seldom[1:])} == {60}
    assert len(copies) in (2, 3)
