"""libvirt's event loop: exactly one per process, registered before the first connection is opened.

Keepalive, the close callback, events and non-blocking streams all need it. A process that runs asyncio shares its loop
(``use_asyncio``; six times cheaper than libvirt's own at 1,000 hosts); any other one gives libvirt's own loop a thread
(``start_thread``). libvirt cannot change or drop a loop once registered, and a forked child inherits the registration
but not the thread: register after the fork.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import libvirt
import libvirtaio

_lock = threading.Lock()
_registered_by: int | None = None


def use_asyncio(loop: asyncio.AbstractEventLoop) -> None:
    """Make ``loop`` libvirt's event loop, unless this process has one. Callbacks run on the thread that runs it."""
    with _lock:
        if _claim():
            _AsyncioImplementation(loop).register()


def start_thread() -> None:
    """Run libvirt's own event loop in a daemon thread. Calling it again does nothing."""
    with _lock:
        if _claim():
            libvirt.virEventRegisterDefaultImpl()
            threading.Thread(target=_run_default, name="libvirt-events", daemon=True).start()


def is_registered() -> bool:
    """Whether this very process has an event loop for libvirt."""
    return _registered_by == os.getpid()


def _claim() -> bool:
    """Whether the loop is to be registered now; raises in a child of a process that had registered one."""
    global _registered_by
    if _registered_by is None:
        _registered_by = os.getpid()
        return True
    if _registered_by != os.getpid():
        raise RuntimeError("libvirt's event loop was registered before the fork; register it in the child instead")
    return False


def _run_default() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


class _AsyncioImplementation(libvirtaio.virEventAsyncIOImpl):  # type: ignore[misc]  # libvirtaio is untyped
    """libvirtaio made safe for calls from other threads.

    libvirt changes timers from whichever thread opens or uses a connection, but libvirtaio touches asyncio as if that
    were the loop's own thread: the loop is not woken, so a keepalive timer starts whenever something else happens to
    wake it. File descriptors are left as they are: epoll takes changes from any thread, and libvirt relies on a handle
    being gone when the removal returns, because it closes the descriptor next.
    """

    def _add_timeout(self, timeout: int, cb: Any, opaque: Any) -> int:
        timer = _Timer(self, cb, opaque)
        self.callbacks[timer.iden] = timer
        timer.update(timeout=timeout)
        self._pending_inc()
        return int(timer.iden)

    def schedule_ff_callback(self, iden: int, opaque: Any) -> None:
        self.loop.call_soon_threadsafe(super().schedule_ff_callback, iden, opaque)


class _Timer(libvirtaio.TimeoutCallback):  # type: ignore[misc]
    """A repeating libvirt timer: ``timeout`` in milliseconds, negative while off."""

    def __init__(self, impl: _AsyncioImplementation, cb: Any, opaque: Any) -> None:
        super().__init__(impl, cb, opaque)
        self._handle: asyncio.TimerHandle | None = None

    def update(self, timeout: int) -> None:
        self.impl.loop.call_soon_threadsafe(self._arm, timeout)

    def close(self) -> None:
        self.update(timeout=-1)
        super().close()

    def _arm(self, timeout: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if timeout >= 0:
            self._handle = self.impl.loop.call_later(timeout / 1000, self._fire, timeout)

    def _fire(self, timeout: int) -> None:
        self._handle = self.impl.loop.call_later(timeout / 1000, self._fire, timeout)
        self.cb(self.iden, self.opaque)
