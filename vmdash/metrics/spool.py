"""Batches for the history store that wait on disk while it is away: they survive the end of the collector.

Each batch is one gzip file, named by its time, so the oldest come first. They have a limit together, and a part of the
disk stays free; beyond that the oldest go, and `dropped` counts them. Several collectors on one machine share the
folder: each locks one below it, and takes over what it finds in those that nobody locks.
"""

from __future__ import annotations

import fcntl
import gzip
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

log = logging.getLogger(__name__)

KEEP_FREE_BYTES = 1024**3
"""So much of the disk is left to others."""
_LEVEL = 1
"""Of compression: these lines repeat themselves, more effort gains little."""
_SUFFIX = ".gz"


P = ParamSpec("P")
T = TypeVar("T")


def _alone(method: Callable[Concatenate[Spool, P], T]) -> Callable[Concatenate[Spool, P], T]:
    """One thread at a time."""

    @wraps(method)
    def guarded(self: Spool, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._guard:
            return method(self, *args, **kwargs)

    return guarded


@dataclass(frozen=True, slots=True)
class _Batch:
    path: Path
    size: int


class Spool:
    """For any thread. Raises OSError where the disk does not take or give anything."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._guard = threading.RLock()
        self._own: Path | None = None
        self._lock: int | None = None
        self._batches: deque[_Batch] = deque()
        self._last_ns = 0
        self.size = 0
        """Bytes on disk."""
        self.dropped = 0
        """Bytes that had to go, of batches that were never sent."""

    @property
    def count(self) -> int:
        """Batches that wait."""
        return len(self._batches)

    @property
    def since(self) -> float | None:
        """Unix seconds: when the oldest batch was written."""
        with self._guard:
            return int(self._batches[0].path.stem) / 1e9 if self._batches else None

    @_alone
    def open(self) -> None:
        """Find what an earlier process left."""
        number = 0
        while self._own is None:
            folder = self._folder / str(number)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if (lock := _lock(folder)) is not None:
                self._own, self._lock = folder, lock
            number += 1
        for part in self._own.glob("*.part"):  # its process died over it
            part.unlink(missing_ok=True)
        self._take_over()
        found = sorted(self._own.glob(f"*{_SUFFIX}"), key=lambda path: int(path.stem))
        self._batches = deque(_Batch(path, path.stat().st_size) for path in found)
        self.size = sum(batch.size for batch in self._batches)
        self._last_ns = int(found[-1].stem) if found else 0

    @_alone
    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._own = self._lock = None

    @_alone
    def add(self, lines: bytes) -> int:
        """Write a batch, and tell its size on disk. It is there whole, or not at all."""
        if self._own is None:
            self.open()
        data = gzip.compress(lines, _LEVEL)
        self._make_room(len(data))
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        path = self._own / f"{self._last_ns}{_SUFFIX}"  # type: ignore[operator]  # it is open
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        self._batches.append(_Batch(path, len(data)))
        self.size += len(data)
        return len(data)

    @_alone
    def oldest(self) -> tuple[str, bytes] | None:
        """The batch that is to be sent next: its name, and itself, compressed. None when there is none."""
        while self._batches:
            path = self._batches[0].path
            try:
                return path.name, path.read_bytes()
            except FileNotFoundError:  # somebody tidied up
                self.size -= self._batches.popleft().size
        return None

    @_alone
    def done(self, name: str) -> None:
        """Remove a batch that was sent; it may have had to make room meanwhile."""
        if self._batches and self._batches[0].path.name == name:
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        batch = self._batches.popleft()
        self.size -= batch.size
        batch.path.unlink(missing_ok=True)

    def _make_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free - KEEP_FREE_BYTES
        while self._batches and (self.size + wanted > self._most_bytes or free < wanted):
            free += self._batches[0].size
            self.dropped += self._batches[0].size
            self._remove_oldest()
        if free < wanted or wanted > self._most_bytes:
            raise OSError(f"No room for {wanted} bytes in {self._folder}")

    def _take_over(self) -> None:
        """What processes left that are no more."""
        for folder in sorted(self._folder.iterdir()):
            if folder == self._own or not folder.is_dir() or (lock := _lock(folder)) is None:
                continue
            try:
                for path in folder.glob(f"*{_SUFFIX}"):
                    number = int(path.stem)
                    while (target := self._own / f"{number}{_SUFFIX}").exists():  # type: ignore[operator]
                        number += 1
                    path.rename(target)
            finally:
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """Ours until it is closed; None: another process has it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
