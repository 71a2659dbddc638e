"""libvirt's event loop: exactly one per process, registered before the first connection is opened.

Keepalive, the close callback, events and non-blocking streams all need it. A process that runs asyncio shares its loop
(``use_asyncio``; far cheaper than libvirt's own at 1,000 hosts); any other one gives libvirt's own loop a thread
(``start_thread``). libvirt cannot change or drop a loop once registered, and a forked child inherits the registration
but not the thread: register after the fork.
"""

from __future__ import annotations

import asyncio
import os
import threading

import libvirt

from vmdash.virt.asyncio_loop import AsyncioLoop

_lock = threading.Lock()
_registered_by: int | None = None


def use_asyncio(loop: asyncio.AbstractEventLoop) -> None:
    """Make ``loop`` libvirt's event loop, unless this process has one. Callbacks run on the thread that runs it."""
    with _lock:
        if _claim():
            AsyncioLoop(loop).register()


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
