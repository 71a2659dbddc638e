"""The serial console of a guest as a plain socket: bytes both ways, for the console gateway.

libvirt's stream and the socket are both watched by libvirt's event loop, so one thread carries all consoles of a
process. Each side is read only while the other has taken what came before: a browser that does not read makes the guest
wait, and the memory used stays small.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import libvirt

from vmdash.virt import eventloop
from vmdash.virt.guest import Guest
from vmdash.virt.translation import translate

_CHUNK = 65536
_READABLE, _WRITABLE = libvirt.VIR_EVENT_HANDLE_READABLE, libvirt.VIR_EVENT_HANDLE_WRITABLE
_ENDED = libvirt.VIR_STREAM_EVENT_HANGUP | libvirt.VIR_STREAM_EVENT_ERROR
_WOULD_BLOCK = -2


def serve_serial(guest: Guest, sock: socket.socket, *, device: str = "", force: bool = False) -> None:
    """Carry bytes between a serial console and a connected socket until either side ends; blocks meanwhile.

    ``device`` is an alias such as serial0, by default the first console; ``force`` takes it from whoever has it. The
    caller closes the socket. Needs ``eventloop.start_thread()`` and a connection with a running event loop.

    Raises GuestNotRunning, ResourceBusy (another client has it open), CallUnsupported, ConnectionLost.
    """
    if not eventloop.is_registered():
        raise RuntimeError("the serial console needs vmdash.virt.eventloop.start_thread() first")
    stream = guest.raw.connect().newStream(libvirt.VIR_STREAM_NONBLOCK)
    guest.open_console(stream, device=device, force=force)
    bridge = _Bridge(stream, sock)
    with translate(f"use the serial console of {guest.name}", guest.host):
        bridge.run()


class _Bridge:
    """Everything but ``run`` and ``_close`` happens on the event loop's thread; the lock keeps it out until both sides
    are watched.
    """

    def __init__(self, stream: libvirt.virStream, sock: socket.socket) -> None:
        self._stream = stream
        self._socket = sock
        self._to_guest = b""
        self._to_client = b""
        self._ended = threading.Event()
        self._error: libvirt.libvirtError | None = None
        self._watch = -1
        self._setting_up = threading.Lock()

    def run(self) -> None:
        """Raises libvirtError when the stream broke."""
        self._socket.setblocking(False)
        try:
            with self._setting_up:
                self._stream.eventAddCallback(libvirt.VIR_STREAM_EVENT_READABLE | _ENDED, self._on_stream, None)
                self._watch = libvirt.virEventAddHandle(self._socket.fileno(), _READABLE, self._on_socket, None)
            self._ended.wait()
        finally:
            self._close()
        if self._error is not None:
            raise self._error

    def _close(self) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.eventRemoveCallback()
        if self._watch >= 0:
            libvirt.virEventRemoveHandle(self._watch)
        with contextlib.suppress(libvirt.libvirtError):
            self._stream.abort()

    def _on_stream(self, _stream: libvirt.virStream, events: int, _opaque: Any) -> None:
        with self._setting_up:
            if events & libvirt.VIR_STREAM_EVENT_WRITABLE:
                self._send_to_guest()
            if events & ~libvirt.VIR_STREAM_EVENT_WRITABLE and not self._to_client:
                self._read_guest()
            self._watch_for_more()

    def _on_socket(self, _watch: int, _fd: int, events: int, _opaque: Any) -> None:
        with self._setting_up:
            if events & _WRITABLE:
                self._send_to_client()
            if events & ~_WRITABLE and not self._to_guest:
                self._read_client()
            self._watch_for_more()

    def _read_guest(self) -> None:
        try:
            data = self._stream.recv(_CHUNK)
        except libvirt.libvirtError as error:
            self._error = error
            self._ended.set()
            return
        if data == _WOULD_BLOCK:
            return
        if not data:
            self._ended.set()
            return
        self._to_client = data
        self._send_to_client()

    def _read_client(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended.set()
            return
        self._to_guest = data
        self._send_to_guest()

    def _send_to_client(self) -> None:
        try:
            self._to_client = self._to_client[self._socket.send(self._to_client) :]
        except BlockingIOError:
            return
        except OSError:
            self._ended.set()

    def _send_to_guest(self) -> None:
        if not self._to_guest:
            return
        try:
            sent = self._stream.send(self._to_guest)
        except libvirt.libvirtError as error:
            self._error = error
            self._ended.set()
            return
        if sent != _WOULD_BLOCK:
            self._to_guest = self._to_guest[sent:]

    def _watch_for_more(self) -> None:
        """Read where the other side is ready to take it; write where something waits."""
        if self._ended.is_set():
            return
        stream = (0 if self._to_client else libvirt.VIR_STREAM_EVENT_READABLE) | (
            libvirt.VIR_STREAM_EVENT_WRITABLE if self._to_guest else 0
        )
        self._stream.eventUpdateCallback(stream | _ENDED)
        libvirt.virEventUpdateHandle(
            self._watch, (0 if self._to_guest else _READABLE) | (_WRITABLE if self._to_client else 0)
        )
