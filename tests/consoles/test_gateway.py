"""The gateway as a browser meets it: a process of its own on the tests' database and Redis."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import httpx
import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from domains.consoles.gateway.endings import CloseCode
from domains.consoles.gateway.server import SPARE
from domains.consoles.tickets import Kind, Route, Target
from tests.consoles.conftest import GREETING, Gateway, Visitor, VncServer
from tests.factories import HostFactory
from tests.polling import poll
from tests.services import free_port
from vmdash.access.models import AuditEntry, User
from vmdash.access.roles import Role

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway")]

SOON_S = 6
"""A session is checked every two seconds."""


def end_of(console: ClientConnection) -> tuple[int, str]:
    """Read until the gateway closes; the close code and reason."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            console.recv(timeout=SOON_S)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def recorded(action: str) -> AuditEntry:
    poll(AuditEntry.objects.filter(action=action).exists, what=action)
    return AuditEntry.objects.get(action=action)


def test_it_carries_bytes_both_ways(visitor: Visitor) -> None:
    with visitor.connect(visitor.ticket()) as console:
        assert console.recv(timeout=SOON_S) == GREETING
        sent = os.urandom(300_000)
        console.send(sent)
        received = b""
        while len(received) < len(sent):
            received += console.recv(timeout=SOON_S, decode=False)
        assert received == sent


def test_opening_and_closing_are_recorded_with_duration_and_traffic(visitor: Visitor) -> None:
    with visitor.connect(visitor.ticket()) as console:
        console.recv(timeout=SOON_S)
    opened, closed = recorded("console.connect"), recorded("console.disconnect")
    assert (opened.user, opened.target_id) == (visitor.user, str(visitor.domain.pk))
    assert (opened.address, closed.address, closed.result) == ("127.0.0.1", "127.0.0.1", "done")
    assert closed.detail == (
        "screen closed after 0 min 0 s, 12 bytes from and 0 bytes to the guest: The browser closed the console."
    )


def test_a_replayed_ticket_is_refused(visitor: Visitor) -> None:
    token = visitor.ticket()
    with visitor.connect(token), pytest.raises(InvalidStatus) as caught, visitor.connect(token):
        pass
    assert caught.value.response.status_code == 403
    assert AuditEntry.objects.filter(action="console.connect", refused=True).exists()


def test_a_plain_request_gets_no_console(gateway: Gateway) -> None:
    address, port = settings.CONSOLE_LISTEN
    assert httpx.get(f"http://{address}:{port}/").status_code == 405


def test_a_session_ends_when_the_role_is_withdrawn(visitor: Visitor) -> None:
    with visitor.connect(visitor.ticket()) as console:
        console.recv(timeout=SOON_S)
        User.objects.filter(pk=visitor.user.pk).update(role=Role.VIEWER)
        assert end_of(console) == (CloseCode.RIGHT_WITHDRAWN, "Your right to this console was withdrawn.")
    assert "withdrawn" in recorded("console.disconnect").detail


def test_a_session_ends_when_its_person_signs_out(visitor: Visitor) -> None:
    with visitor.connect(visitor.ticket()) as console:
        console.recv(timeout=SOON_S)
        Session.objects.all().delete()
        assert end_of(console)[0] == CloseCode.SIGNED_OUT


def test_a_session_ends_in_words_when_the_guest_hangs_up(visitor: Visitor, vnc_server: VncServer) -> None:
    with visitor.connect(visitor.ticket()) as console:
        console.recv(timeout=SOON_S)
        vnc_server.hang_up()
        assert end_of(console) == (CloseCode.CLOSED_BY_GUEST, "The guest's side closed the console.")


def test_the_reason_arrives_even_while_the_browser_keeps_sending(visitor: Visitor, vnc_server: VncServer) -> None:
    with visitor.connect(visitor.ticket()) as console:
        console.recv(timeout=SOON_S)
        vnc_server.hang_up()
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                console.send(b"mouse")
    assert caught.value.rcvd is not None and caught.value.rcvd.code == CloseCode.CLOSED_BY_GUEST


def test_a_screen_that_is_not_there_is_said_in_words(help_desk: User, visitor_of: Callable[..., Visitor]) -> None:
    visitor = visitor_of(help_desk, port=free_port())
    with visitor.connect(visitor.ticket()) as console:
        code, reason = end_of(console)
    assert code == CloseCode.UNREACHABLE
    assert f"No VNC server answers at 127.0.0.1 port {visitor.target.port}" in reason
    closed = recorded("console.disconnect")
    assert "No VNC server" in closed.detail
    assert closed.result == "failed"


def test_a_host_that_is_not_there_is_said_in_words(help_desk: User, visitor_of: Callable[..., Visitor]) -> None:
    visitor = visitor_of(help_desk)
    host = HostFactory.create(address="127.0.0.1", port=free_port())
    visitor.target = Target(host.pk, Route.LIBVIRT)
    with visitor.connect(visitor.ticket(Kind.SERIAL), kind=Kind.SERIAL) as console:
        code, reason = end_of(console)
    assert code == CloseCode.UNREACHABLE
    assert host.name in reason


def test_one_console_that_hangs_does_not_hold_up_another(
    visitor: Visitor, visitor_of: Callable[..., Visitor], silent_port: int
) -> None:
    hanging = visitor_of(visitor.user, port=silent_port)
    address, port = settings.CONSOLE_LISTEN
    with httpx.Client() as browser:
        with pytest.raises(httpx.ReadTimeout):
            headers = hanging.headers(hanging.ticket()) | {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            }
            browser.get(f"http://{address}:{port}{hanging.path()}", headers=headers, timeout=0.5)
        began = time.monotonic()
        with visitor.connect(visitor.ticket()) as console:
            assert console.recv(timeout=SOON_S) == GREETING
        assert time.monotonic() - began < 2


def test_when_the_gateway_stops_browsers_are_told_to_come_back(visitor: Visitor) -> None:
    other = Gateway(port=free_port())
    try:
        with visitor.connect(visitor.ticket(), port=other.port) as console:
            console.recv(timeout=SOON_S)
            other.signal(signal.SIGTERM)
            assert end_of(console)[0] == CloseCode.GATEWAY_STOPS
    finally:
        other.stop()
    assert "had to stop" in recorded("console.disconnect").detail


def test_more_consoles_than_allowed_are_refused(visitor: Visitor) -> None:
    small = Gateway(port=free_port(), VMDASH_CONSOLE_SESSIONS="1")
    try:
        with ExitStack() as stack:

            def is_let_in() -> bool:
                """Not while the fixture's own knock still counts."""
                with suppress(InvalidStatus):
                    stack.enter_context(visitor.connect(visitor.ticket(), port=small.port))
                    return True
                return False

            poll(is_let_in)
            with pytest.raises(InvalidStatus) as caught, visitor.connect(visitor.ticket(), port=small.port):
                pass
        assert caught.value.response.status_code == 503
    finally:
        small.stop()


def test_connections_that_say_nothing_take_few_processes(visitor: Visitor) -> None:
    small = Gateway(port=free_port(), VMDASH_CONSOLE_SESSIONS="1")
    most = 1 + SPARE
    with ExitStack() as silent:
        silent.callback(small.stop)
        opened = [silent.enter_context(socket.create_connection(("127.0.0.1", small.port))) for _ in range(most + 10)]
        poll(lambda: sum(is_closed(one) for one in opened) >= 8, what="those that are too many to be turned away")
        assert small.children <= most


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_no_ticket_is_ever_logged(visitor: Visitor, gateway: Gateway) -> None:
    token = visitor.ticket()
    with visitor.connect(token) as console:
        console.recv(timeout=SOON_S)
    with pytest.raises(InvalidStatus), visitor.connect(token):
        pass
    recorded("console.disconnect")
    assert token not in gateway.log
