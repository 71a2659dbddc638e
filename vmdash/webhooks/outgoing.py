"""HTTP requests to addresses that people wrote. They lead nowhere inside.

The name is resolved once, its addresses are checked, and the connection goes to one of those that passed: a name that
leads elsewhere a moment later (DNS rebinding) gains nothing. Redirects are not followed, and proxies of the environment
are not used. TLS certificates are checked against the name.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import Any

import httpcore
from django.conf import settings

from vmdash.addresses import Address, nobodys, plain
from vmdash.exceptions import VmdashError

TIMEOUT_S = 10.0
"""For all of it."""


class AddressRefused(VmdashError):
    """It leads to where webhooks may not lead."""


class Undelivered(VmdashError):
    """Nothing that could be used came back."""


def check(address: Address) -> None:
    """Raises AddressRefused: it is this machine's, private without being allowed by `VMDASH_WEBHOOK_NETWORKS`, or one
    that no machine has."""
    if sort := nobodys(address):
        raise AddressRefused(f"{address} is {sort}. No webhook can be there.")
    inner = plain(address)
    if any(inner in network for network in settings.WEBHOOK_NETWORKS):
        return
    if not inner.is_global or (isinstance(inner, IPv6Address) and inner.is_site_local):
        raise AddressRefused(
            f"{address} is an address of this machine or a private network.",
            hint="VMDASH_WEBHOOK_NETWORKS can allow it.",
        )


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """POST it. Returns the HTTP status, whatever it is; what else comes back is not read.

    Raises:
        AddressRefused: it leads to where webhooks may not lead. Undelivered: nobody answers, or not in HTTP.
    """
    backend = _CheckedBackend(time.monotonic() + TIMEOUT_S)
    patience = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend, retries=0) as pool,
            pool.stream(
                "POST", url, headers=[*headers.items()], content=body, extensions={"timeout": patience}
            ) as answer,
        ):
            return int(answer.status)
    except httpcore.TimeoutException:
        raise Undelivered(f"It did not answer within {TIMEOUT_S:.0f} s.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        raise Undelivered(f"{error}"[:250] or type(error).__name__) from error


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _CheckedBackend(httpcore.SyncBackend):
    """Connects to addresses that passed the check, and to nothing else; all ends by the deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        for address in addresses:  # one bad address spoils the name: who owns it chooses which comes first
            check(ip_address(address))
        trouble: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in addresses:
            try:
                stream = super().connect_tcp(
                    address, port, _left(self._deadline, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                trouble = error
            else:
                return _TimedStream(stream, self._deadline)
        raise trouble

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("No webhook is a socket of this machine.")


class _TimedStream(httpcore.NetworkStream):
    """One who sends a byte now and then does not hold a worker for ever."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, timeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, timeout: float | None) -> float:
    """Of the time there is. Raises ReadTimeout: nothing."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is up")
    return left if timeout is None else min(left, timeout)
