"""libvirt's event loop on asyncio, made for thousands of connections that threads use all the time.

libvirt turns the events of a connection's socket off and on again around every call, and puts its keepalive timer off
with every message. So both must cost next to nothing: sockets are in an epoll set of their own, which is one
descriptor to asyncio, and a timer that is put off is looked at again only when it would have fired. (libvirtaio, which
comes with libvirt-python, has asyncio take note of each of these changes: as much work as the call itself.)

Everything may be called from any thread; libvirt's callbacks run on the loop's.
"""

from __future__ import annotations

import asyncio
import math
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

import libvirt

_EPOLL = (
    (libvirt.VIR_EVENT_HANDLE_READABLE, select.EPOLLIN),
    (libvirt.VIR_EVENT_HANDLE_WRITABLE, select.EPOLLOUT),
    (libvirt.VIR_EVENT_HANDLE_ERROR, select.EPOLLERR),
    (libvirt.VIR_EVENT_HANDLE_HANGUP, select.EPOLLHUP),
)
_TO_EPOLL = [sum(theirs for ours, theirs in _EPOLL if events & ours) for events in range(16)]
_ALWAYS = libvirt.VIR_EVENT_HANDLE_ERROR | libvirt.VIR_EVENT_HANDLE_HANGUP
"""epoll tells of these without being asked."""

Callback = Callable[..., Any]


class AsyncioLoop:
    """``register`` makes it libvirt's event loop, for good."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._numbers = count(1)
        self._handles: dict[int, _Handle] = {}
        self._by_descriptor: dict[int, dict[int, _Handle]] = {}
        self._timers: dict[int, _Timer] = {}
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def register(self) -> None:
        libvirt.virEventRegisterImpl(
            *(self._add_handle, self._update_handle, self._remove_handle),
            *(self._add_timer, self._update_timer, self._remove_timer),
        )

    # Sockets

    def _add_handle(self, descriptor: int, events: int, callback: Callback, opaque: Any) -> int:
        number = next(self._numbers)
        handle = self._handles[number] = _Handle(descriptor, callback, opaque)
        self._by_descriptor.setdefault(descriptor, {})[number] = handle
        self._update_handle(number, events)
        return number

    def _update_handle(self, number: int, events: int) -> None:
        handle = self._handles[number]
        handle.events = events
        siblings = self._by_descriptor[handle.descriptor]
        if len(siblings) > 1:
            for other in siblings.values():
                events |= other.events
        self._watch(handle.descriptor, events)

    def _remove_handle(self, number: int) -> int:
        handle = self._handles.get(number)
        if handle is None:
            return -1
        self._update_handle(number, 0)  # before it returns, since libvirt closes the descriptor next
        del self._handles[number], self._by_descriptor[handle.descriptor][number]
        if not self._by_descriptor[handle.descriptor]:
            del self._by_descriptor[handle.descriptor]
        self._free(handle.opaque)
        return 0

    def _watch(self, descriptor: int, events: int) -> None:
        """What nobody waits for is taken out of the set, for epoll would tell of errors there again and again."""
        try:
            if events:
                self._epoll.register(descriptor, _TO_EPOLL[events])
            else:
                self._epoll.unregister(descriptor)
        except FileExistsError:
            self._epoll.modify(descriptor, _TO_EPOLL[events])
        except FileNotFoundError:
            pass  # it was not in the set

    def _dispatch(self) -> None:
        for descriptor, told in self._epoll.poll(0):
            events = sum(ours for ours, theirs in _EPOLL if told & theirs)
            for number, handle in [*self._by_descriptor.get(descriptor, {}).items()]:
                if handle.events and events & (handle.events | _ALWAYS):
                    handle.callback(number, descriptor, events, handle.opaque)

    # Timers

    def _add_timer(self, timeout_ms: int, callback: Callback, opaque: Any) -> int:
        number = next(self._numbers)
        self._timers[number] = _Timer(self._loop, number, callback, opaque)
        self._timers[number].update(timeout_ms)
        return number

    def _update_timer(self, number: int, timeout_ms: int) -> None:
        self._timers[number].update(timeout_ms)

    def _remove_timer(self, number: int) -> int:
        timer = self._timers.pop(number, None)
        if timer is None:
            return -1
        timer.update(-1)
        self._free(timer.opaque)
        return 0

    def _free(self, opaque: Any) -> None:
        """Never at once: whoever removes holds locks, and the callback may be running."""
        with suppress(RuntimeError):  # the loop is closed: the process ends, and what it keeps ends with it
            self._loop.call_soon_threadsafe(libvirt.virEventInvokeFreeCallback, opaque)


class _Handle:
    __slots__ = ("callback", "descriptor", "events", "opaque")

    def __init__(self, descriptor: int, callback: Callback, opaque: Any) -> None:
        self.descriptor = descriptor
        self.events = 0
        self.callback = callback
        self.opaque = opaque


class _Timer:
    """A repeating timer. asyncio is told of it when it is to fire earlier than asyncio knows, else it finds out."""

    __slots__ = ("_callback", "_due", "_handle", "_known", "_lock", "_loop", "_number", "_timeout_s", "opaque")

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int, callback: Callback, opaque: Any) -> None:
        self._loop = loop
        self._number = number
        self._callback = callback
        self._lock = threading.Lock()
        self._timeout_s = math.inf
        self._due = math.inf
        self._known = math.inf
        """When asyncio looks at it."""
        self._handle: asyncio.TimerHandle | None = None
        self.opaque = opaque

    def update(self, timeout_ms: int) -> None:
        """Negative: it is off."""
        with self._lock:
            self._timeout_s = timeout_ms / 1000 if timeout_ms >= 0 else math.inf
            self._due = time.monotonic() + self._timeout_s
            if self._due >= self._known:
                return
            self._known = self._due
        self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        if self._handle:
            self._handle.cancel()
            self._handle = None
        with self._lock:
            self._known = self._due
        if self._known < math.inf:
            self._handle = self._loop.call_at(self._known, self._look)

    def _look(self) -> None:
        with self._lock:
            now = time.monotonic()
            fires = self._due <= now
            if fires:
                self._due = now + self._timeout_s
        self._arm()
        if fires:
            self._callback(self._number, self.opaque)
