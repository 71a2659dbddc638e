"""Raw counters on their way to the history store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from tests.polling import poll_async
from tests.services import free_port
from vmdash.metrics import writer as writer_module
from vmdash.metrics.writer import HistoryWriter
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

NAME = r'web "1", a=\b'
CPU = GuestStats("u-1", NAME, {"cpu.time": 1_500_000_000, "vcpu.current": 1, "vcpu.maximum": 0})
REST = GuestStats("u-1", NAME, {})


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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "INTERVAL_S", 0.01)
    monkeypatch.setattr(writer_module, "RETRY_S", 0.01)


async def test_counters_arrive_under_the_exporters_names(victoria_metrics: str, quick: None) -> None:
    writer = HistoryWriter()
    at_ms = int(time.time() * 1000)
    writer.guest("one", at_ms, CPU, REST)
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


async def test_what_was_measured_while_the_store_was_away_arrives_later(
    victoria_metrics: str, quick: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    writer = HistoryWriter()
    at_ms = int(time.time() * 1000)
    settings.TSDB_URL = f"http://127.0.0.1:{free_port()}"
    writer.guest("kvm2", at_ms, CPU, REST)
    async with running(writer):
        await poll_async(_said(caplog, "takes nothing"), 10)
    settings.TSDB_URL = victoria_metrics

    async with running(writer):
        await poll_async(lambda: values('libvirt_domain_info_virtual_cpus{host="kvm2"}'), 10)


async def test_only_the_newest_is_kept_when_the_store_stays_away(
    quick: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TSDB_URL = f"http://127.0.0.1:{free_port()}"
    writer = HistoryWriter(keep_bytes=1000)
    for number in range(100):
        writer.node(f"kvm{number}", 1, None, None)

    async with running(writer):
        await poll_async(_said(caplog, "takes nothing"), 10)

    kept = [block.decode() for block in writer._waiting]
    assert 1 <= len(kept) < 100
    assert "host=kvm99" in kept[-1]


def _said(caplog: pytest.LogCaptureFixture, words: str):  # type: ignore[no-untyped-def]
    async def said() -> bool:
        return words in caplog.text

    return said
