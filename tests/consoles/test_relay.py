"""Carrying bytes: what must not happen with a slow browser or a slow guest."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from domains.consoles.gateway import relay as relay_module
from domains.consoles.gateway.endings import CloseCode, Ended, Ending
from domains.consoles.gateway.relay import CHUNK_BYTES, Relay, Traffic
from tests.polling import poll


class Browser:
    """The handler's end of a WebSocket, without frames: what is sent arrives at `far_end` as it is."""

    def __init__(self) -> None:
        self.request, self.far_end = socket.socketpair()
        self.pings = 0
        self._waiting = b""

    def recv_frames(self) -> tuple[list[bytes], object]:
        data = self.request.recv(CHUNK_BYTES)
        return ([data], False) if data else ([], {"code": 1000, "reason": ""})

    def send_frames(self, bufs: list[bytes] | None = None) -> bool:
        self._waiting += b"".join(bufs or [])
        with suppress(BlockingIOError):
            self._waiting = self._waiting[self.request.send(self._waiting) :]
        return bool(self._waiting)

    def send_ping(self, data: bytes = b"") -> None:
        self.pings += 1

    @property
    def waiting(self) -> int:
        return len(self._waiting)


class Session:
    """A relay that runs in a thread of its own."""

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self.browser = Browser()
        self.guest, near = socket.socketpair()
        self.guest.settimeout(5)
        self.browser.far_end.settimeout(5)
        self.traffic = Traffic()
        self.ending: Ending | None = None
        self._near = near
        self._relay = Relay(self.browser, near, check, self.traffic)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.ending = self._relay.run()
        self._relay.drain()

    def end(self) -> Ending:
        self._thread.join(10)
        assert self.ending is not None, "The relay still runs."
        return self.ending

    def close(self) -> None:
        for end in (self.guest, self.browser.far_end):
            end.close()
        self._thread.join(10)
        self._near.close()
        self.browser.request.close()


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def read_all(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += source.recv(CHUNK_BYTES)
    return data


def test_a_guest_that_floods_waits_for_a_browser_that_does_not_read(session: Session) -> None:
    session.guest.setblocking(False)
    taken = 0

    def stuck() -> bool:
        nonlocal taken
        try:
            taken += session.guest.send(b"y\n" * 32768)
        except BlockingIOError:
            return session.browser.waiting > 0
        return False

    poll(stuck)
    assert session.browser.waiting <= CHUNK_BYTES
    assert len(read_all(session.browser.far_end, taken)) == taken


def test_a_browser_that_pastes_a_lot_waits_for_a_guest_that_does_not_read(session: Session) -> None:
    pasted = b"echo hello\n" * 200_000
    writer = threading.Thread(target=session.browser.far_end.sendall, args=(pasted,))
    writer.start()
    assert read_all(session.guest, len(pasted)) == pasted
    writer.join()
    assert session.traffic.to_guest == len(pasted)


def test_the_last_words_of_a_guest_arrive(session: Session) -> None:
    words = b"Power down.\r\n" * 100_000

    def say_and_go() -> None:
        session.guest.sendall(words)
        session.guest.close()

    writer = threading.Thread(target=say_and_go)
    writer.start()
    assert read_all(session.browser.far_end, len(words)) == words
    writer.join()
    assert session.end().code is CloseCode.CLOSED_BY_GUEST


def test_a_browser_that_goes_ends_the_session(session: Session) -> None:
    session.browser.far_end.close()
    assert session.end().code in (CloseCode.CLOSED_BY_BROWSER, CloseCode.BROWSER_LOST)


def test_the_check_ends_the_session_also_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "CHECK_S", 0.05)

    def check() -> None:
        raise Ended(Ending(CloseCode.RIGHT_WITHDRAWN, "No more."))

    session = Session(check)
    assert session.end().words == "No more."
    session.close()


def test_a_browser_that_answers_no_ping_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("CHECK_S", 0.02), ("PING_S", 0.05), ("SILENCE_S", 0.2)):
        monkeypatch.setattr(relay_module, name, seconds)
    session = Session()
    assert session.end().code is CloseCode.BROWSER_LOST
    assert session.browser.pings
    session.close()


def test_a_browser_that_waits_for_a_guest_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("CHECK_S", 0.02), ("PING_S", 0.05), ("SILENCE_S", 0.2)):
        monkeypatch.setattr(relay_module, name, seconds)
    checks: list[None] = []
    session = Session(lambda: checks.append(None))
    far_end = session.browser.far_end
    far_end.setblocking(False)
    while select.select([], [far_end], [], 0.1)[1]:  # until nothing moves any more
        far_end.send(b"x" * CHUNK_BYTES)
    checks.clear()
    poll(lambda: len(checks) > 20, what="more than the time of silence to pass")
    assert session.ending is None
    session.close()


def test_a_reason_is_cut_between_characters_to_what_a_close_frame_holds() -> None:
    reason = Ending(CloseCode.UNREACHABLE, "ü" * 100).reason
    assert reason == "ü" * 61
