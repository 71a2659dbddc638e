"""Connections to simulated hosts: calls and their replies, keepalive, events."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import cast

from bench.simulator.calls import REPLIES, Refused
from bench.simulator.fleet import Host, address
from bench.simulator.wire import (
    CALL,
    ERROR,
    HEADER,
    KEEPALIVE_PROGRAM,
    MESSAGE,
    NO_SUPPORT,
    OK,
    PING,
    PONG,
    REPLY,
    Arguments,
    Procedure,
    error,
    integer,
    keepalive,
    message,
)

_REGISTRATIONS = frozenset(
    {
        Procedure.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY,
        Procedure.CONNECT_NETWORK_EVENT_REGISTER_ANY,
        Procedure.CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY,
    }
)
_LIFECYCLE = 0
_PONG = keepalive(PONG)


class Server:
    """All hosts. `run` never returns."""

    def __init__(self, hosts: int, guests: int, *, port: int, changes_per_s: float, hung_share: float) -> None:
        self._port = port
        self._changes_per_s = changes_per_s
        every = round(1 / hung_share) if hung_share else 0
        self._hosts = [
            Host(number, guests, may_hang=bool(every) and number % every == 0) for number in range(1, hosts + 1)
        ]
        self._by_address = {address(host.number): host for host in self._hosts}
        self.subscribers: dict[int, set[Connection]] = {host.number: set() for host in self._hosts}
        self.calls = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number, silent in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
            loop.add_signal_handler(number, self._hang, silent)
        await loop.create_server(lambda: Connection(self), list(self._by_address), self._port, backlog=512)
        print(f"{len(self._hosts)} simulated hosts on port {self._port}", flush=True)
        await self._change_guests()

    def host_at(self, ip: str) -> Host:
        return self._by_address[ip]

    def _hang(self, silent: bool) -> None:
        for host in self._hosts:
            host.silent = silent and host.may_hang

    async def _change_guests(self) -> None:
        chance = random.Random(self._port)
        while True:
            await asyncio.sleep(1 / self._changes_per_s if self._changes_per_s else 3600)
            host = chance.choice(self._hosts)
            if not self._changes_per_s or host.silent or not self.subscribers[host.number]:
                continue
            guest = chance.choice(list(host.guests.values()))
            event, detail = host.change(guest, chance)
            told = guest.domain() + integer(event) + integer(detail)
            for connection in self.subscribers[host.number]:
                connection.tell(told)


class Connection(asyncio.Protocol):
    """One client of one host."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self._callbacks = 0
        self._lifecycle = -1
        """The client's callback for lifecycle events; -1: it wants none."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._host = self._server.host_at(transport.get_extra_info("sockname")[0])

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.subscribers[self._host.number].discard(self)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        while len(received) >= HEADER.size:
            size, program, _, procedure, kind, serial, _ = HEADER.unpack_from(received)
            if len(received) < size:
                break
            if self._host.silent:
                pass
            elif program == KEEPALIVE_PROGRAM:
                if procedure == PING:
                    self._transport.write(_PONG)
            elif kind == CALL:
                self._transport.write(self._reply(procedure, serial, received[HEADER.size : size]))
            received = received[size:]
        self._received = received

    def tell(self, told: bytes) -> None:
        """Send a lifecycle event."""
        body = integer(self._lifecycle) + told
        self._transport.write(message(Procedure.DOMAIN_EVENT_CALLBACK_LIFECYCLE, MESSAGE, 0, OK, body))

    def _reply(self, procedure: int, serial: int, body: bytes) -> bytes:
        self._server.calls += 1
        if procedure in _REGISTRATIONS:
            return message(procedure, REPLY, serial, OK, integer(self._register(procedure, body)))
        if procedure == Procedure.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY:
            self._deregister(Arguments(body).integer())
        call = REPLIES.get(procedure)
        if call is None:
            told = error(NO_SUPPORT, f"this function is not simulated: {procedure}")
            return message(procedure, REPLY, serial, ERROR, told)
        try:
            return message(procedure, REPLY, serial, OK, call(self._host, Arguments(body)))
        except Refused as refused:
            return message(procedure, REPLY, serial, ERROR, error(refused.code, str(refused)))

    def _register(self, procedure: int, body: bytes) -> int:
        self._callbacks += 1
        of_guests = procedure == Procedure.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY
        if of_guests and Arguments(body).integer() == _LIFECYCLE:
            self._lifecycle = self._callbacks
            self._server.subscribers[self._host.number].add(self)
        return self._callbacks

    def _deregister(self, callback: int) -> None:
        """libvirt's client breaks where an event comes for a connection that it is about to free."""
        if callback == self._lifecycle:
            self._lifecycle = -1
            self._server.subscribers[self._host.number].discard(self)
