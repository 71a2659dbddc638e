"""Connections that a piece of work has done with, kept for the next one: opening takes longer than most of the work.

A connection is used by one thread at a time, here too: it is either kept, or in the hands of whoever took it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection

KEEP_S = 10
"""Short, since a daemon that has hung meanwhile is found out only when the connection's keepalive ends it."""
MOST_PER_HOST = 2

Key = tuple[Any, ...]
"""What the connection was opened with: a host that was changed is opened anew."""


@dataclass(frozen=True, slots=True)
class _Kept:
    connection: HostConnection
    until: float
    """Monotonic."""


class IdleConnections:
    """May be used by any thread."""

    def __init__(self) -> None:
        self._kept: dict[Key, deque[_Kept]] = {}
        self._changed = threading.Condition()
        self._closer: threading.Thread | None = None

    def take(self, key: Key) -> HostConnection | None:
        """One that was opened with `key` and is alive, which is now the caller's; None without one."""
        while True:
            with self._changed:
                waiting = self._kept.get(key)
                if not waiting:
                    return None
                kept = waiting.pop()  # the newest; the others grow old and are closed
            if kept.until > time.monotonic() and kept.connection.is_alive():
                return kept.connection
            kept.connection.close()

    def keep(self, key: Key, connection: HostConnection) -> None:
        """Take over a connection whose work went well; it is closed when nobody takes it in time."""
        with self._changed:
            waiting = self._kept.setdefault(key, deque())
            if len(waiting) < MOST_PER_HOST:
                waiting.append(_Kept(connection, time.monotonic() + KEEP_S))
                self._start_closer()
                self._changed.notify()
                return
        connection.close()

    def _start_closer(self) -> None:
        if self._closer is None:
            self._closer = threading.Thread(target=self._close_old_ones, name="idle-connections", daemon=True)
            self._closer.start()

    def _close_old_ones(self) -> None:
        while True:
            with self._changed:
                while not self._kept:
                    self._changed.wait()
                old = self._pick_old()
            for connection in old:
                connection.close()
            time.sleep(1)

    def _pick_old(self) -> list[HostConnection]:
        now, old = time.monotonic(), []
        for key, waiting in list(self._kept.items()):
            stay = deque(kept for kept in waiting if kept.until > now and kept.connection.is_alive())
            old += [kept.connection for kept in waiting if kept not in stay]
            if stay:
                self._kept[key] = stay
            else:
                del self._kept[key]
        return old
