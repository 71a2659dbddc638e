"""One attempt to probe a host: its deadline, its connections, and what silence means."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TypeVar

from vmdash.exceptions import InvalidInput
from vmdash.virt import errors
from vmdash.virt.credentials import Credentials
from vmdash.virt.errors import HostError
from vmdash.virt.rpc import NotAReply, Readable, read_auth_list
from vmdash.virt.uri import Endpoint

T = TypeVar("T")
E = TypeVar("E", bound=HostError)
CheckAddress = Callable[[IPv4Address | IPv6Address], object]

_CONNECT_ERRORS: dict[int, type[HostError]] = {
    errno.ECONNREFUSED: errors.PortClosed,
    errno.ETIMEDOUT: errors.AttemptsDropped,
}


@dataclass(slots=True)
class Link:
    """An open connection. ``hung_up``: we closed our half because the other side was silent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    latency_s: float
    hung_up: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """``deadline`` is in the event loop's time; everything ends by then.

    ``check_address`` raises InvalidInput for an address that the endpoint's name may not lead to.
    """

    endpoint: Endpoint
    credentials: Credentials
    runtime_dir: Path
    name: str
    deadline: float
    check_address: CheckAddress | None = None

    def failure(self, kind: type[E], *, reason: str = "", detail: str = "") -> E:
        return kind.because(f"connect to {self.name}", reason=reason, detail=detail)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Link]:
        """A TCP connection to the endpoint. Addresses are tried one after the other, as libvirt will."""
        addresses = await self._resolve()
        for address, port in addresses:
            try:
                link = await self._open(partial(asyncio.open_connection, address, port))
                break
            except OSError as error:
                if (address, port) == addresses[-1]:
                    kind = _CONNECT_ERRORS.get(error.errno or 0, errors.HostUnreachable)
                    raise self.failure(kind, detail=str(error)) from error
        try:
            yield link
        finally:
            link.writer.transport.abort()

    @asynccontextmanager
    async def connected_to_socket(self, path: str) -> AsyncIterator[Link]:
        """A connection to a UNIX socket of this machine."""
        try:
            link = await self._open(partial(asyncio.open_unix_connection, path))
        except OSError as error:
            raise self.failure(errors.LibvirtMissing, detail=str(error)) from error
        try:
            yield link
        finally:
            link.writer.transport.abort()

    async def ask(self, link: Link, read: Callable[[], Awaitable[T]]) -> T:
        """The outcome of ``read``, or HostHung when nothing comes in time.

        A server of another protocol may wait for us to go on. So after half the time we close our half of the
        connection: a process that lives notices and answers or closes too; one that hangs does not even do that.
        """
        reading = asyncio.ensure_future(read())
        try:
            now = asyncio.get_running_loop().time()
            await asyncio.wait({reading}, timeout=max((self.deadline - now) / 2, 0))
            if not reading.done():
                link.hung_up = True
                link.writer.write_eof()
                now = asyncio.get_running_loop().time()
                await asyncio.wait({reading}, timeout=max(self.deadline - now, 0))
            if not reading.done():
                raise self.failure(errors.HostHung)
            return reading.result()
        finally:
            reading.cancel()

    async def auth_list(self, link: Link, reader: Readable) -> tuple[str, ...]:
        """The reply to AUTH_LIST_CALL, which was sent. Raises NotLibvirt, HostHung."""
        try:
            return await self.ask(link, lambda: read_auth_list(reader))
        except (NotAReply, OSError) as error:
            raise self.failure(errors.NotLibvirt, detail=str(error)) from error

    async def _resolve(self) -> list[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(self.deadline):
                found = await loop.getaddrinfo(self.endpoint.address, self.endpoint.effective_port, type=1)
        except TimeoutError as error:
            raise self.failure(errors.AddressUnknown, reason="the name service does not answer") from error
        except OSError as error:
            raise self.failure(errors.AddressUnknown, detail=str(error)) from error
        addresses = [(str(address[0]), int(address[1])) for *_, address in found]
        if self.check_address:
            try:
                for address, _ in addresses:
                    self.check_address(ip_address(address))
            except InvalidInput as error:
                raise InvalidInput(f"{self.endpoint.address} cannot be used. {error}") from error
        return addresses

    async def _open(self, connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> Link:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout_at(self.deadline):
                reader, writer = await connect()
        except TimeoutError as error:
            if error.errno is not None:  # the kernel gave up, not we
                raise
            raise self.failure(errors.AttemptsDropped) from error
        return Link(reader, writer, loop.time() - began)
