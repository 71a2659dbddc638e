"""Sends raw counters to the history store, in batches, and never waits for it.

While the store is away the newest lines wait in memory, up to a limit; what is older is dropped, and the log says so.
See `lines` for the format.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence

import httpx
from django.conf import settings

from vmdash.metrics.lines import WRITE_PATH, guest_lines, node_lines, taken_lines
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

log = logging.getLogger(__name__)

INTERVAL_S = 1
RETRY_S = 5
_REQUEST_BYTES = 4 * 1024 * 1024
_KEEP_BYTES = 64 * 1024 * 1024


class HistoryWriter:
    """`guest` and `node` may be called from any thread; `run` sends what they gave."""

    def __init__(self, *, keep_bytes: int = _KEEP_BYTES) -> None:
        self._waiting: deque[bytes] = deque()
        self._keep_bytes = keep_bytes
        self._dropped = 0

    def guest(self, host: str, at_ms: int, cpu: GuestStats, rest: GuestStats) -> None:
        self._add(guest_lines(host, at_ms, cpu, rest))

    def node(self, host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None) -> None:
        self._add(node_lines(host, at_ms, cpu, memory))

    def taken(self, host: str, at_ms: int, guest: GuestStats, seconds: Mapping[str, float]) -> None:
        self._add(taken_lines(host, at_ms, guest, seconds))

    def _add(self, lines: Sequence[str]) -> None:
        self._waiting.append("\n".join((*lines, "")).encode())

    async def run(self) -> None:
        away = False
        async with httpx.AsyncClient(base_url=settings.TSDB_URL, timeout=10) as store:
            while True:
                try:
                    await self._send(store)
                    if away:
                        log.info("The history store answers again; %d readings were dropped meanwhile.", self._dropped)
                    away, self._dropped = False, 0
                except httpx.HTTPError as error:
                    if not away:
                        where = store.base_url.netloc.decode()
                        log.error("The history store at %s takes nothing; the newest is kept: %s", where, error)
                    away = True
                    self._drop()
                await asyncio.sleep(RETRY_S if away else INTERVAL_S)

    async def _send(self, store: httpx.AsyncClient) -> None:
        while self._waiting:
            batch, size = [], 0
            while self._waiting and size < _REQUEST_BYTES:
                batch.append(self._waiting.popleft())
                size += len(batch[-1])
            try:
                answer = await store.post(WRITE_PATH, content=b"".join(batch))
                if answer.status_code == httpx.codes.BAD_REQUEST:  # it would be refused again
                    log.error("The history store refused %d readings: %.200s", len(batch), answer.text)
                    continue
                answer.raise_for_status()
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                raise

    def _drop(self) -> None:
        """Keep the newest that fit."""
        size = sum(map(len, self._waiting))
        while size > self._keep_bytes:
            size -= len(self._waiting.popleft())
            self._dropped += 1
