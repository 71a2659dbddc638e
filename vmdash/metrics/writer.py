"""Sends raw counters to the history store, in batches, and never waits for it.

While the store is away, or too slow, what is measured goes to a spool on disk, and from there to the store once it
answers again: what is new first, so that charts are up to date, then what waited, oldest first. Memory is bounded
whatever happens. See `lines` for the format.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import httpx
from django.conf import settings

from vmdash.metrics.coarse import EVERY_MS, Coarse, Seldom
from vmdash.metrics.lines import WRITE_PATH, Reading, guest_lines, node_lines, taken_lines
from vmdash.metrics.spool import Spool
from vmdash.metrics.sums import HostSums, cell_cpu_lines, cell_lines, placed_lines, pool_lines, sum_lines
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.pool import PoolFacts
from vmdash.virt.stats import GuestStats

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

INTERVAL_S = 1
RETRY_S = 5
TIMEOUT_S = 10
STEADY_EVERY_MS = EVERY_MS // 10
"""States and sizes are sent so often."""
SPILL_EVERY_S = 5
"""While the store is away; who kills the collector loses no more than this."""
_REQUEST_BYTES = 4 * 1024 * 1024
_SPILL_BYTES = 16 * 1024 * 1024
"""So much may wait in memory for a store that answers."""
_KEEP_BYTES = 64 * 1024 * 1024
"""So much may wait in memory at all; only a disk that takes nothing makes it so much."""


@dataclass(frozen=True, slots=True)
class Held:
    """What has not reached the store yet because it was away or too slow."""

    away: bool
    """The store does not take anything."""
    since: float | None
    """Unix seconds: the oldest of it; None when nothing is held."""
    size: int
    """Bytes on disk."""
    dropped: int
    """Bytes of history that are lost, since the store went away."""


class HistoryWriter:
    """`guests`, `node` and their like may be called from any thread; `run` sends what they gave."""

    def __init__(self, *, keep_bytes: int = _KEEP_BYTES, spool: Spool | None = None) -> None:
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._guard = threading.Lock()
        """Over the two above."""
        self._keep_bytes = keep_bytes
        self._spool = spool or Spool(settings.DATA_DIR / "spool", settings.HISTORY_SPOOL_MIB * 1024**2)
        self._coarse = Coarse()
        self._steady = Seldom(STEADY_EVERY_MS)
        self._away_since: float | None = None
        self._dropped = 0
        self._holding = False
        """Something had to wait since all was well."""
        self._said_dropped = False
        self._said_disk = False

    def guests(self, host: str, read: Iterable[Sequence[Reading]]) -> None:
        self._add("".join([self._guest(host, one) for one in read]))

    def _guest(self, host: str, readings: Sequence[Reading]) -> str:
        at_ms, guest = readings[-1]
        series = f"{host} {guest.uuid}"  # elsewhere it has others
        if not self._steady.has_come(series, at_ms):
            return guest_lines(host, readings, steady=False)
        # Ten minutes are over only where a minute is: every copy has what is steady.
        return self._coarse.with_copy(series, at_ms, guest_lines(host, readings))

    def node(
        self, host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None, cpu_at_ms: int | None = None
    ) -> None:
        self._add(self._coarse.with_copy(host, at_ms, node_lines(host, at_ms, cpu, memory, cpu_at_ms=cpu_at_ms)))

    def sums(self, host: str, at_ms: int, sums: HostSums) -> None:
        self._add(self._coarse.with_copy(f"sums of {host}", at_ms, sum_lines(host, at_ms, sums)))

    def pool(self, host: str, at_ms: int, pool: PoolFacts, promised_bytes: int | None) -> None:
        self._add(pool_lines(host, at_ms, pool, promised_bytes))

    def cells(self, host: str, at_ms: int, times: Sequence[CpuTimes], memory: Sequence[MemoryUse]) -> None:
        lines = cell_cpu_lines(host, at_ms, times) + cell_lines(host, at_ms, memory)
        self._add(self._coarse.with_copy(f"cells of {host}", at_ms, lines))

    def placed(self, host: str, at_ms: int, guest: GuestStats, cells: Mapping[int, int]) -> None:
        lines = placed_lines(host, at_ms, guest, cells)
        self._add(self._coarse.with_copy(f"cells of {guest.uuid}", at_ms, lines))

    def taken(self, host: str, at_ms: int, guest: GuestStats, seconds: Mapping[str, float]) -> None:
        lines = taken_lines(host, at_ms, guest, seconds)
        self._add(self._coarse.with_copy(f"taken from {guest.uuid}", at_ms, lines))

    def held(self) -> Held:
        since = [at for at in (self._spool.since, self._away_since) if at is not None]
        return Held(
            self._away_since is not None,
            min(since, default=None),
            self._spool.size,
            self._dropped + self._spool.dropped,
        )

    def _add(self, lines: str) -> None:
        if not lines:
            return
        text = lines.encode()
        with self._guard:
            self._waiting.append(text)
            self._size += len(text)
            self._drop()

    def _take(self) -> list[bytes]:
        """As much of what waits as goes into one request."""
        batch, size = [], 0
        with self._guard:
            while self._waiting and size < _REQUEST_BYTES:
                batch.append(self._waiting.popleft())
                size += len(batch[-1])
            self._size -= size
        return batch

    def _put_back(self, batch: Sequence[bytes]) -> None:
        with self._guard:
            self._waiting.extendleft(reversed(batch))
            self._size += sum(map(len, batch))
            self._drop()

    def _drop(self) -> None:
        """Keep the newest that fit."""
        while self._size > self._keep_bytes and len(self._waiting) > 1:
            lost = len(self._waiting.popleft())
            self._size -= lost
            self._dropped += lost

    async def run(self) -> None:
        await self._on_disk(self._spool.open)
        if self._spool.size:
            self._holding = True
            log.info("%s of history wait on disk from before.", _words(self._spool.size))
        try:
            async with (
                httpx.AsyncClient(base_url=settings.TSDB_WRITE_URL, timeout=TIMEOUT_S) as store,
                asyncio.TaskGroup() as tasks,
            ):
                tasks.create_task(self._keep_sending(store))
                tasks.create_task(self._keep_spilling())
        finally:
            self._keep_the_rest()

    # To the store

    async def _keep_sending(self, store: httpx.AsyncClient) -> None:
        while True:
            try:
                answered = await self._send_waiting(store)
                sent = await self._send_spooled(store)
            except httpx.HTTPError as error:
                self._note_away(store, error)
                await asyncio.sleep(RETRY_S)
            else:
                self._note_back(answered or sent)
                if not sent:
                    await asyncio.sleep(INTERVAL_S)

    async def _send_waiting(self, store: httpx.AsyncClient) -> bool:
        """Whether there was anything."""
        any_sent, full = False, True
        while full and (batch := self._take()):
            full = self._size >= _REQUEST_BYTES  # what came meanwhile, a little, goes with what will come
            try:
                await self._post(store, b"".join(batch))
            except BaseException:
                self._put_back(batch)
                raise
            any_sent = True
        return any_sent

    async def _send_spooled(self, store: httpx.AsyncClient) -> bool:
        """One batch, the oldest. Whether there was one."""
        found = await self._on_disk(self._spool.oldest)
        if found is None:
            return False
        name, data = found
        await self._post(store, data, gzipped=True)
        await self._on_disk(self._spool.done, name)
        return True

    async def _post(self, store: httpx.AsyncClient, data: bytes, *, gzipped: bool = False) -> None:
        headers = {"Content-Length": str(len(data))}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        answer = await store.post(WRITE_PATH, content=_once(data), headers=headers)
        if answer.status_code == httpx.codes.BAD_REQUEST:  # it would be refused again
            log.error("The history store refused a batch of %d bytes: %.200s", len(data), answer.text)
            return
        answer.raise_for_status()

    def _note_away(self, store: httpx.AsyncClient, error: httpx.HTTPError) -> None:
        if self._away_since is not None:
            return
        self._away_since, self._holding = time.time(), True
        where, why = store.base_url.netloc.decode(), str(error) or type(error).__name__
        log.error("The history store at %s takes nothing; what is measured waits on disk: %s", where, why)

    def _note_back(self, answered: bool) -> None:
        if not answered and self._away_since is not None:
            return  # there was nothing to try it with
        if self._away_since is not None:
            log.info("The history store answers again; %s that waited on disk follow.", _words(self._spool.size))
            self._away_since = None
        if self._holding and not self._spool.count:
            lost = self._dropped + self._spool.dropped
            log.info("All history that waited has been sent; %s were lost.", _words(lost) if lost else "none")
            self._dropped = self._spool.dropped = 0
            self._holding = self._said_dropped = False

    # To the disk

    async def _keep_spilling(self) -> None:
        spilled_at = time.monotonic()
        while True:
            await asyncio.sleep(INTERVAL_S)
            late = time.monotonic() - spilled_at >= SPILL_EVERY_S or self._size >= _REQUEST_BYTES
            if self._size > _SPILL_BYTES or (self._away_since is not None and late):
                await self._spill()
                spilled_at = time.monotonic()

    async def _spill(self) -> None:
        self._holding = True
        while batch := self._take():
            try:
                written = await self._on_disk(self._spool.add, b"".join(batch))
            except BaseException:
                self._put_back(batch)
                raise
            if written is None:
                self._put_back(batch)
                break
        if self._dropped + self._spool.dropped and not self._said_dropped:
            self._said_dropped = True
            log.error("No more history can wait (%s do on disk): the oldest is dropped.", _words(self._spool.size))

    async def _on_disk(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `call` answers; None where the disk refuses, which is said once."""
        try:
            answer = await asyncio.to_thread(call, *args, **kwargs)
        except OSError as error:
            if not self._said_disk:
                log.error("The history cannot wait on disk, the newest stays in memory: %s", error)
            self._said_disk = True
            return None
        self._said_disk = False
        return answer

    def _keep_the_rest(self) -> None:
        """At the end of the process: for the next one."""
        try:
            while batch := self._take():
                self._spool.add(b"".join(batch))
        except OSError as error:
            log.error("The newest of the history is lost, the disk does not take it: %s", error)
        self._spool.close()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    """A request's body that is gone when it was sent. httpx's requests are in reference cycles: a plain one would stay
    in memory until garbage is collected, with some hundred others."""
    yield data


def _words(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"
