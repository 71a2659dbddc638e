"""Where a libvirt daemon is: ``Endpoint``, and the connection URI made from it.

Source: https://libvirt.org/uri.html and https://libvirt.org/remote.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from vmdash.exceptions import InvalidInput


class Driver(StrEnum):
    """The hypervisor drivers that can be asked for."""

    QEMU = "qemu"
    XEN = "xen"
    LXC = "lxc"
    TEST = "test"
    CH = "ch"
    BHYVE = "bhyve"
    VZ = "vz"


class Transport(StrEnum):
    """How the daemon is reached. ``unix`` is the daemon of this machine or, for ``test``, no daemon at all."""

    SSH = "ssh"
    LIBSSH = "libssh"
    TLS = "tls"
    TCP = "tcp"
    UNIX = "unix"


DEFAULT_PORTS = {Transport.SSH: 22, Transport.LIBSSH: 22, Transport.TLS: 16514, Transport.TCP: 16509}

# URI parameters an operator may set. The others would run programs here, read files here or switch checks off.
ALLOWED_EXTRA = frozenset({"mode", "proxy", "socket", "tls_priority"})

_ADDRESS = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_USERNAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@+-]*")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach one libvirt driver. Raises InvalidInput for anything that cannot be an address.

    ``address`` is a name, an IPv4 or an IPv6 address (without brackets); ``port`` None means the transport's usual one;
    ``path`` empty means the driver's system instance. ``extra`` holds URI parameters out of ``ALLOWED_EXTRA``.
    """

    driver: Driver
    transport: Transport
    address: str = ""
    port: int | None = None
    username: str = ""
    path: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "driver", Driver(self.driver))
            object.__setattr__(self, "transport", Transport(self.transport))
        except ValueError as error:
            raise InvalidInput(
                f"There is no libvirt address of that kind: {error}.",
                hint=f"Drivers: {', '.join(Driver)}. Transports: {', '.join(Transport)}.",
            ) from None
        if self.is_remote:
            if not _is_address(self.address):
                raise InvalidInput(
                    f'"{self.address}" is not a host name or IP address.',
                    hint="Give the address alone, such as kvm1.example.org or 10.0.0.4.",
                )
            if self.port is not None and not 0 < self.port < 65536:
                raise InvalidInput(f"{self.port} is not a port.", hint="Ports go from 1 to 65535.")
        elif self.address or self.port is not None:
            raise InvalidInput(f"The transport {self.transport} takes no address and no port.")
        if self.username and not _USERNAME.fullmatch(self.username):
            raise InvalidInput(f'"{self.username}" is not a user name.')
        if self.path and not self.path.startswith("/"):
            raise InvalidInput(f'The path "{self.path}" does not begin with "/".', hint="Usually it is /system.")
        if refused := set(self.extra) - ALLOWED_EXTRA:
            raise InvalidInput(
                f"These URI parameters cannot be used: {', '.join(sorted(refused))}.",
                hint=f"Possible are {', '.join(sorted(ALLOWED_EXTRA))}.",
            )

    @classmethod
    def parse(cls, uri: str) -> Endpoint:
        """From a libvirt URI such as ``qemu+ssh://root@kvm3/system``. Raises InvalidInput."""
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError as error:
            raise InvalidInput(f'"{uri}" is not a libvirt URI: {error}.') from None
        driver, _, transport = parts.scheme.partition("+")
        if not transport:  # libvirt: a host without a transport means TLS
            transport = Transport.TLS if parts.hostname else Transport.UNIX
        return cls(
            driver=Driver(driver) if driver in set(Driver) else driver,  # type: ignore[arg-type]
            transport=transport,  # type: ignore[arg-type]
            address=parts.hostname or "",
            port=port,
            username=unquote(parts.username or ""),
            path=unquote(parts.path),
            extra=dict(parse_qsl(parts.query, keep_blank_values=True)),
        )

    @property
    def is_remote(self) -> bool:
        """Whether it is reached over the network."""
        return self.transport in DEFAULT_PORTS

    @property
    def is_ssh(self) -> bool:
        return self.transport in (Transport.SSH, Transport.LIBSSH)

    @property
    def effective_port(self) -> int:
        """The port in use; only for remote transports."""
        return self.port or DEFAULT_PORTS[self.transport]

    @property
    def effective_path(self) -> str:
        return self.path or ("/default" if self.driver is Driver.TEST else "/system")

    def uri(self, parameters: Mapping[str, str] | None = None) -> str:
        """The URI, free of secrets. ``parameters`` (paths of key files) come on top of ``extra`` and win."""
        query = urlencode({**self.extra, **(parameters or {})}, quote_via=quote)
        # Without a transport, libvirt takes the UNIX socket of the driver's own daemon, wherever it is.
        named = self.is_remote or "socket" in self.extra
        scheme = f"{self.driver}+{self.transport}" if named else self.driver
        address = f"[{self.address}]" if ":" in self.address else self.address
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        port = f":{self.port}" if self.port else ""
        return f"{scheme}://{user}{address}{port}{quote(self.effective_path)}" + (f"?{query}" if query else "")

    def __str__(self) -> str:
        return self.uri()


def _is_address(text: str) -> bool:
    if ":" in text:
        try:
            IPv6Address(text)
        except ValueError:
            return False
        return "%" not in text
    return len(text) <= 253 and bool(_ADDRESS.fullmatch(text))
