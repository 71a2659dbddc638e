"""What was measured while the history store was away: it waits on disk, and arrives."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pytest_django import Settings

from tests.metrics.store import FickleStore
from tests.polling import poll_async
from tests.services import VictoriaMetrics, free_port
from vmdash.metrics import spool as spool_module
from vmdash.metrics import writer as writer_module
from vmdash.metrics.coarse import PREFIX
from vmdash.metrics.spool import Spool
from vmdash.metrics.writer import HistoryWriter

MUCH = 10**9


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INTERVAL_S", "RETRY_S", "SPILL_EVERY_S"):
        monkeypatch.setattr(writer_module, name, 0.01)
    monkeypatch.setattr(writer_module, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(spool_module, "KEEP_FREE_BYTES", 0)


@pytest.fixture
def store(settings: Settings) -> Iterator[FickleStore]:
    server = FickleStore()
    settings.TSDB_URL = settings.TSDB_WRITE_URL = server.url
    yield server
    server.stop()


@asynccontextmanager
async def running(writer: HistoryWriter) -> AsyncIterator[None]:
    task = asyncio.create_task(writer.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def measure(writer: HistoryWriter, number: int) -> None:
    writer.node(f"kvm{number}", 1, None, None)


def hosts(rows: list[str]) -> list[int]:
    """By their numbers, in the order of the rows, the coarse copies left out."""
    return [int(re.findall(r"kvm(\d+)", row)[0]) for row in rows if not row.startswith(PREFIX)]


async def true(check: object) -> None:
    async def call() -> bool:
        return bool(check())  # type: ignore[operator]

    await poll_async(call, 10)


@pytest.mark.parametrize("mood", ["fails", "hangs"])
async def test_all_of_it_arrives_once_the_store_is_back_the_oldest_of_what_waited_first(
    store: FickleStore, tmp_path: Path, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.mood = mood  # type: ignore[assignment]
    spool = Spool(tmp_path, MUCH)
    writer = HistoryWriter(spool=spool)
    async with running(writer):
        for number in range(5):
            measure(writer, number)
            await true(lambda wanted=number: spool.count > wanted)
        held = writer.held()
        assert held.away
        assert held.since is not None and time.time() - held.since < 60
        assert held.size > 0
        store.mood = "takes"
        await true(lambda: not spool.count)
    assert sorted(set(hosts(store.rows))) == list(range(5))
    assert hosts(store.rows)[-5:] == sorted(hosts(store.rows)[-5:])
    assert not list(tmp_path.rglob("*.gz"))
    assert "takes nothing; what is measured waits on disk" in caplog.text
    assert "answers again" in caplog.text
    assert writer.held().since is None


async def test_it_survives_the_end_of_the_collector(store: FickleStore, tmp_path: Path) -> None:
    store.mood = "fails"
    first = HistoryWriter(spool=Spool(tmp_path, MUCH))
    measure(first, 1)
    async with running(first):
        await true(lambda: store.requests)
        measure(first, 2)
    store.mood = "takes"

    async with running(HistoryWriter(spool=Spool(tmp_path, MUCH))):
        await true(lambda: {1, 2} <= set(hosts(store.rows)))


async def test_one_collector_takes_over_what_two_have_left(store: FickleStore, tmp_path: Path) -> None:
    spools = [Spool(tmp_path, MUCH) for _ in range(2)]
    for number, spool in enumerate(spools):
        spool.open()
        spool.add(f'libvirt_up{{host="kvm{number}"}} 1 1\n'.encode())
    for spool in spools:
        spool.close()

    async with running(HistoryWriter(spool=Spool(tmp_path, MUCH))):
        await true(lambda: hosts(store.rows) == [0, 1])


def test_two_collectors_do_not_touch_each_others(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, MUCH), Spool(tmp_path, MUCH)
    first.add(b"one")
    second.add(b"two")
    assert first.count == second.count == 1
    first.close()
    second.close()


def test_at_its_limit_the_oldest_go_and_it_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 200)
    for number in range(10):
        spool.add(b"line %d\n" % number)
    assert spool.size <= 200
    assert spool.dropped > 0
    assert spool.oldest()[0] > "0"  # type: ignore[index]
    kept = [gzip.decompress(path.read_bytes()) for path in sorted(tmp_path.rglob("*.gz"))]
    assert kept == [b"line %d\n" % number for number in range(10 - len(kept), 10)]
    spool.close()


async def test_a_full_spool_is_said_in_the_log_and_by_the_writer(
    store: FickleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.mood = "fails"
    writer = HistoryWriter(spool=Spool(tmp_path, 2000))
    async with running(writer):
        measured = iter(range(10_000))

        async def dropped() -> bool:
            measure(writer, next(measured))
            return writer.held().dropped > 0 and "the oldest is dropped" in caplog.text

        await poll_async(dropped, 10)


async def test_a_disk_that_takes_nothing_costs_the_oldest_and_bounded_memory(
    store: FickleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.mood = "fails"
    monkeypatch.setattr(spool_module, "KEEP_FREE_BYTES", 2**60)
    writer = HistoryWriter(spool=Spool(tmp_path, MUCH), keep_bytes=1000)
    async with running(writer):
        for number in range(100):
            measure(writer, number)
        await true(lambda: "cannot wait on disk" in caplog.text)
        assert writer._size <= 1000
        assert writer.held().dropped > 0
        store.mood = "takes"
        await true(lambda: hosts(store.rows)[-1:] == [99])


async def test_what_the_store_refuses_for_good_does_not_hold_up_the_rest(
    store: FickleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.mood = "refuses"
    writer = HistoryWriter(spool=Spool(tmp_path, MUCH))
    async with running(writer):
        measure(writer, 1)
        await true(lambda: "refused a batch" in caplog.text)
        store.mood = "takes"
        measure(writer, 2)
        await true(lambda: hosts(store.rows) == [2])


async def test_a_real_store_that_is_killed_and_comes_back_lacks_nothing(settings: Settings, tmp_path: Path) -> None:
    server = VictoriaMetrics(free_port())
    settings.TSDB_URL = settings.TSDB_WRITE_URL = server.url
    writer = HistoryWriter(spool=Spool(tmp_path, MUCH))
    begin_ms = int(time.time() * 1000) - 600_000
    sent = 0

    def more() -> None:
        nonlocal sent
        writer.node("kvm1", begin_ms + sent * 1000, None, None)
        sent += 1

    async def count() -> int:
        async with httpx.AsyncClient(base_url=settings.TSDB_URL) as client:
            answer = await client.get("/api/v1/query", params={"query": "count_over_time(libvirt_up[20m])"})
        found = answer.json()["data"]["result"]
        return int(found[0]["value"][1]) if found else 0

    async def all_arrived() -> bool:
        return await count() == sent

    try:
        async with running(writer):
            for _ in range(100):
                more()

            await poll_async(all_arrived, 20, "the first to arrive")
            server.halt()
            for _ in range(10):
                for _ in range(20):
                    more()
                await true(lambda: writer.held().away)
            await true(lambda: writer.held().size > 0)
            await asyncio.to_thread(server.begin)
            await true(lambda: writer.held().since is None)

            await poll_async(all_arrived, 20, "all that was measured during the outage")
    finally:
        server.stop()
