"""The listening process, and the life of one WebSocket in a process of its own."""

from __future__ import annotations

import logging
import multiprocessing
import select
import socket
import time
from contextlib import ExitStack, suppress
from http import HTTPStatus
from typing import Any

import redis
from django.db import DatabaseError, connections
from websockify.websocket import WebSocketWantReadError
from websockify.websocketproxy import ProxyRequestHandler, WebSocketProxy

from domains.consoles.gateway import admission, targets
from domains.consoles.gateway.admission import Refused, Visit
from domains.consoles.gateway.endings import CloseCode, Ending
from domains.consoles.gateway.relay import Relay, Traffic
from domains.consoles.gateway.targets import Line
from vmdash.access import audit, origin
from vmdash.exceptions import VmdashError
from vmdash.virt.errors import ResourceBusy

log = logging.getLogger(__name__)

SPARE = 16
"""Processes for those who are let in or turned away just now: each takes 20 to 30 MiB."""

FAREWELL_S = 2.0
"""How long a browser may take to read why its session ended."""


class ConsoleHandler(ProxyRequestHandler):  # type: ignore[misc]  # websockify has no types
    """One connection: refused with an HTTP error, or else carried until a close frame says why it ended."""

    server: ConsoleGateway
    visit: Visit
    line: Line | VmdashError
    timeout = 10
    """Seconds for the request to arrive (`socketserver.StreamRequestHandler`)."""

    def handle(self) -> None:
        """Called by socketserver: the whole connection. websockify would keep quiet about what goes wrong."""
        try:
            super().handle()
        except OSError as error:
            log.debug("%s: the connection was lost: %s", self.client_address[0], error)
        except (self.server.EClose, self.server.Terminate):
            raise
        except Exception:
            log.exception("A console session failed")

    def handle_upgrade(self) -> None:
        """Called by websockify for each request for a WebSocket. It opens once the console is reached."""
        origin.begin(self.client_address[0], self.headers.get_all("X-Forwarded-For", []))
        try:
            if self.server.is_full:
                raise Refused("Too many consoles are open. Try again later.", HTTPStatus.SERVICE_UNAVAILABLE)
            self.visit = admission.admit(self.path, self.headers)
        except Refused as refused:
            log.info("Refused %s: %s", self.client_address[0], refused.words)
            self.send_error(refused.status, explain=refused.words)
            return
        except (DatabaseError, redis.RedisError) as error:
            log.error("Nobody can be let in: %s", error)
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        with ExitStack() as stack:
            try:
                self.line = stack.enter_context(targets.open_line(self.visit.target, self.visit.domain))
            except VmdashError as error:
                self.line = error
            super().handle_upgrade()

    def new_websocket_client(self) -> None:
        """Called by websockify once the WebSocket is open."""
        began, traffic = time.monotonic(), Traffic()
        ending = Ending(CloseCode.GATEWAY_STOPS, "The console gateway had to stop.")
        _record(self.visit, "console.connect", f"{self.visit.kind.words} opened")
        try:
            ending = self._carry(self.line, traffic) if isinstance(self.line, Line) else _ending_for(self.line)
        finally:  # also when the gateway is told to stop, or something unforeseen happens
            summary = _summary(self.visit, ending, traffic, time.monotonic() - began)
            _record(self.visit, "console.disconnect", summary, failed=not isinstance(self.line, Line))
            self._say_goodbye(ending)

    def _carry(self, line: Line, traffic: Traffic) -> Ending:
        relay = Relay(self, line.socket, self._check, traffic)
        connections.close_all()
        try:
            ending = relay.run()
        except (DatabaseError, redis.RedisError):
            log.exception("A console session cannot be checked")
            return Ending(CloseCode.TRY_LATER, "vmdash cannot check just now whether you may go on.")
        relay.drain()
        if ending.code is CloseCode.CLOSED_BY_GUEST and line.failure:
            return _ending_for(line.failure)
        return ending

    def _check(self) -> None:
        """Whether the session may go on. There may be hundreds: none keeps a database connection open."""
        try:
            admission.check_stay(self.visit)
        finally:
            connections.close_all()

    def _say_goodbye(self, ending: Ending) -> None:
        """Send the close frame and wait for the browser's: closing over unread input would destroy ours on its way."""
        end = time.monotonic() + FAREWELL_S
        try:
            self.request.settimeout(FAREWELL_S)
            self.send_close(ending.code, ending.reason)
            while time.monotonic() < end:
                try:
                    if self.request.recvmsg() is None:
                        return
                except WebSocketWantReadError:
                    continue
        except OSError as error:
            log.debug("The browser did not wait for a farewell: %s", error)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s: " + format, self.client_address[0], *args)


class ConsoleGateway(WebSocketProxy):  # type: ignore[misc]  # websockify has no types
    """websockify's server: it forks a process for each connection, so sessions cannot disturb each other.

    `most` sessions at once; who comes later is told so, as long as that takes no more than `SPARE` processes.
    """

    def __init__(self, listener: socket.socket, *, most: int) -> None:
        self.most = most
        self.sessions = 0
        self._listener = listener
        super().__init__(RequestHandlerClass=ConsoleHandler, listen_fd=listener.fileno())

    @property
    def is_full(self) -> bool:
        return self.sessions >= self.most

    def started(self) -> None:
        """Called by websockify when it listens. Children must not share the parent's database connection."""
        connections.close_all()
        log.info("The console gateway listens on %s port %d", *self._listener.getsockname()[:2])

    def poll(self) -> None:
        """Called by websockify before each accept; the child inherits the count."""
        self._count()
        while self.sessions >= self.most + SPARE:
            self._turn_away()
            self._count()

    def _count(self) -> None:
        self.sessions = len(multiprocessing.active_children())

    def _turn_away(self) -> None:
        """Close the next connection, if one comes soon. Without a process of its own nobody can be told more."""
        if select.select([self._listener], [], [], 0.2)[0]:
            with suppress(OSError):
                self._listener.accept()[0].close()

    def multiprocessing_SIGCHLD(self, sig: int, stack: Any) -> None:
        self._count()

    def top_new_client(self, startsock: socket.socket, address: Any) -> None:
        """The whole life of a child process."""
        try:
            super().top_new_client(startsock, address)
        except self.Terminate:
            log.debug("A console session was ended by a signal")
        finally:
            connections.close_all()


def _ending_for(error: Exception) -> Ending:
    if not isinstance(error, VmdashError):
        log.error("A console failed", exc_info=error)
        return Ending(CloseCode.TRY_LATER, "Something unexpected went wrong inside vmdash.")
    log.info("%s %s", error, error.detail)
    return Ending(CloseCode.IN_USE if isinstance(error, ResourceBusy) else CloseCode.UNREACHABLE, str(error))


def _record(visit: Visit, action: str, detail: str, *, failed: bool = False) -> None:
    audit.record(
        user=visit.user,
        action=action,
        target_kind="domain",
        target_id=visit.domain.pk,
        target_name=visit.domain.name,
        failed=failed,
        detail=detail,
    )


def _summary(visit: Visit, ending: Ending, traffic: Traffic, duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    return (
        f"{visit.kind.words} closed after {minutes} min {seconds} s, {traffic.from_guest} bytes from and "
        f"{traffic.to_guest} bytes to the guest: {ending.words}"
    )
