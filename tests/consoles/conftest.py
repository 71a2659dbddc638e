"""The console gateway as a process of its own, a stand-in for a VNC server, and WebSocket clients."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket
from websockets.typing import Origin, Subprotocol

from domains.consoles import tickets
from domains.consoles.tickets import SUBPROTOCOL_PREFIX, Kind, Route, Target, Ticket
from domains.models import Domain
from tests.factories import DomainFactory
from tests.services import Server
from vmdash.access.models import User

ROOT = Path(__file__).parent.parent.parent
ORIGIN = "http://127.0.0.1:8000"
GREETING = b"RFB 003.008\n"


class Gateway(Server):
    """`manage.py console_gateway`, on `settings.CONSOLE_LISTEN` unless another port is given; settings by name."""

    def __init__(self, port: int = 0, **environment: str) -> None:
        super().__init__("console-gateway")
        self.port = port or settings.CONSOLE_LISTEN[1]
        environment["VMDASH_CONSOLE_LISTEN"] = f"127.0.0.1:{self.port}"
        assignments = (f"{name}={value}" for name, value in environment.items())
        self._start("env", *assignments, sys.executable, ROOT / "manage.py", "console_gateway")
        self._wait()

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    @property
    def children(self) -> int:
        """Processes it has now, of sessions and of those on their way in."""
        assert self._process is not None
        pid = self._process.pid
        return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


class VncServer:
    """Greets as a VNC server does and then sends back what it gets."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    def _echo(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.sendall(GREETING)
            while data := client.recv(65536):
                client.sendall(data)

    def hang_up(self) -> None:
        """As when the guest is shut down."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()


@dataclass
class Visitor:
    """A person with a session, who can be given tickets and connect with them."""

    user: User
    session_key: str
    domain: Domain
    target: Target

    @property
    def cookie(self) -> str:
        return f"{settings.SESSION_COOKIE_NAME}={self.session_key}"

    def ticket(self, kind: Kind = Kind.VNC) -> str:
        digest = tickets.session_digest(self.session_key)
        return tickets.issue(Ticket(self.user.pk, digest, self.domain.pk, kind, self.target))

    def headers(self, token: str, *, origin: str = ORIGIN) -> dict[str, str]:
        """What a browser sends, for `admit`."""
        return {
            "Origin": origin,
            "Cookie": self.cookie,
            "Sec-WebSocket-Protocol": f"binary, {SUBPROTOCOL_PREFIX}{token}",
        }

    def path(self, kind: Kind = Kind.VNC) -> str:
        return f"/{kind}/{self.domain.pk}"

    def connect(self, token: str, *, kind: Kind = Kind.VNC, port: int = 0) -> ClientConnection:
        """Raises `websockets.exceptions.InvalidStatus` when it is refused."""
        return websocket(
            f"ws://127.0.0.1:{port or settings.CONSOLE_LISTEN[1]}{self.path(kind)}",
            origin=Origin(ORIGIN),
            subprotocols=[Subprotocol("binary"), Subprotocol(f"{SUBPROTOCOL_PREFIX}{token}")],
            additional_headers={"Cookie": self.cookie},
            compression=None,
            proxy=None,
        )


@pytest.fixture(scope="module")
def gateway(django_db_setup: None) -> Iterator[Gateway]:
    """The gateway. Tests that use it need `django_db(transaction=True)`."""
    gateway = Gateway()
    yield gateway
    gateway.stop()


@pytest.fixture
def vnc_server() -> Iterator[VncServer]:
    server = VncServer()
    yield server
    server.stop()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts connections (the kernel does) and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def visitor_of(client_of: Callable[[User], Client]) -> Callable[..., Visitor]:
    """`visitor_of(user)`, for a guest whose screen is at `port`."""

    def make(user: User, *, port: int = 1, domain: Domain | None = None) -> Visitor:
        session_key = client_of(user).session.session_key
        assert session_key
        domain = domain or DomainFactory.create()
        return Visitor(user, session_key, domain, Target(domain.host_id, Route.DIRECT, "127.0.0.1", port))

    return make


@pytest.fixture
def visitor(help_desk: User, vnc_server: VncServer, visitor_of: Callable[..., Visitor]) -> Visitor:
    """Somebody from the help desk, and a guest whose screen is the stand-in."""
    return visitor_of(help_desk, port=vnc_server.port)
