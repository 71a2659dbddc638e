"""Carrying bytes between a WebSocket and a console, with back-pressure.

websockify's own loop reads from the guest as fast as it can and keeps what a slow browser has not
taken yet in memory; a guest that floods its serial line would fill it. It also has no place to ask
now and then whether the session may go on. Hence this one.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from domains.consoles.gateway.endings import CloseCode, Ended, Ending

CHECK_S = 2.0
PING_S = 20.0
SILENCE_S = 60.0
"""A browser answers pings; one that was not heard of for so long is gone."""
CHUNK_BYTES = 65536
DRAIN_S = 2.0


class Client(Protocol):
    """What websockify's request handler offers; `request` is its WebSocket."""

    request: Any

    def recv_frames(self) -> tuple[list[bytes], Any]: ...
    def send_frames(self, bufs: list[bytes] | None = None) -> bool: ...
    def send_ping(self, data: bytes = b"") -> None: ...


@dataclass(slots=True)
class Traffic:
    """What was carried, in bytes."""

    from_guest: int = 0
    to_guest: int = 0


class Relay:
    """One session. `check` raises `Ended` when it may not go on; it is asked every two seconds."""

    def __init__(self, client: Client, target: socket.socket, check: Callable[[], None], traffic: Traffic) -> None:
        self.client = client
        self.target = target
        self.check = check
        self.traffic = traffic
        self._to_guest = bytearray()
        self._browser_is_slow = False
        self._heard_at = self._pinged_at = self._checked_at = time.monotonic()

    def run(self) -> Ending:
        """Carry until one side closes or `check` ends it. Leaves both sockets open."""
        self.target.setblocking(False)
        self.client.request.setblocking(False)
        try:
            while True:
                self._look_after()
                self._carry_once()
        except Ended as ended:
            return ended.ending

    def drain(self) -> None:
        """Give the browser what is still on its way to it: a guest's last words."""
        end = time.monotonic() + DRAIN_S
        try:
            while self._browser_is_slow and (left := end - time.monotonic()) > 0:
                if select.select([], [self.client.request], [], left)[1]:
                    self._browser_is_slow = self.client.send_frames()
        except OSError:
            return

    def _look_after(self) -> None:
        now = time.monotonic()
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            self.check()
        if self._to_guest:
            self._heard_at = now  # it is not read until the guest has taken what it sent
        elif now - self._heard_at >= SILENCE_S:
            raise Ended(Ending(CloseCode.BROWSER_LOST, "The browser does not answer any more."))
        if now - self._pinged_at >= PING_S and not self._browser_is_slow:
            self._pinged_at = now
            self._with_browser(self.client.send_ping)

    def _carry_once(self) -> None:
        browser, guest = self.client.request, self.target
        readers = ([] if self._to_guest else [browser]) + ([] if self._browser_is_slow else [guest])
        writers = ([guest] if self._to_guest else []) + ([browser] if self._browser_is_slow else [])
        timeout = max(0.0, self._checked_at + CHECK_S - time.monotonic())
        readable, writable, _ = select.select(readers, writers, [], timeout)
        if browser in readable:
            self._read_browser()
        if self._to_guest:
            self._write_guest()
        if guest in readable:
            self._read_guest()
        if browser in writable:
            self._browser_is_slow = self._with_browser(self.client.send_frames)

    def _read_browser(self) -> None:
        self._heard_at = time.monotonic()
        messages, closed = self._with_browser(self.client.recv_frames)
        for message in messages:
            self._to_guest += message
        if closed:
            raise Ended(Ending(CloseCode.CLOSED_BY_BROWSER, "The browser closed the console."))

    def _write_guest(self) -> None:
        try:
            sent = self.target.send(self._to_guest)
        except BlockingIOError:
            return
        except OSError:
            self._guest_closed()
        self.traffic.to_guest += sent
        del self._to_guest[:sent]

    def _read_guest(self) -> None:
        try:
            data = self.target.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._guest_closed()
        self.traffic.from_guest += len(data)
        self._browser_is_slow = self._with_browser(lambda: self.client.send_frames([data]))

    def _with_browser(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except OSError:
            raise Ended(Ending(CloseCode.BROWSER_LOST, "The connection to the browser was lost.")) from None

    def _guest_closed(self) -> None:
        raise Ended(Ending(CloseCode.CLOSED_BY_GUEST, "The guest's side closed the console."))
