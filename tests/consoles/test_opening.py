"""Where a screen is, seen from the gateway."""

from __future__ import annotations

import pytest

from domains.consoles.opening import screen_target
from domains.consoles.tickets import Route
from hosts.models import Transport
from tests.factories import HostFactory
from vmdash.exceptions import Unsupported
from vmdash.virt.xml.domain import Graphics


def vnc(listen: str = "", port: int | None = 5900, unix_socket: str = "") -> Graphics:
    return Graphics(type="vnc", listen=listen, port=port, tls_port=None, socket=unix_socket, autoport=True)


SPICE = Graphics(type="spice", listen="0.0.0.0", port=5930, tls_port=None, socket="", autoport=True)


@pytest.mark.parametrize(
    ("transport", "address", "listen", "route", "where"),
    [
        (Transport.TCP, "kvm1.example", "0.0.0.0", Route.DIRECT, "kvm1.example"),
        (Transport.TLS, "10.0.0.1", "::", Route.DIRECT, "10.0.0.1"),
        (Transport.TCP, "10.0.0.1", "10.9.0.1", Route.DIRECT, "10.9.0.1"),
        (Transport.TCP, "127.0.1.1", "127.0.1.1", Route.DIRECT, "127.0.1.1"),
        (Transport.TCP, "localhost", "127.0.0.1", Route.DIRECT, "127.0.0.1"),
        (Transport.SSH, "10.0.0.1", "127.0.0.1", Route.SSH, "127.0.0.1"),
        (Transport.SSH, "10.0.0.1", "0.0.0.0", Route.SSH, "127.0.0.1"),
        (Transport.LIBSSH, "10.0.0.1", "::", Route.SSH, "::1"),
        (Transport.SSH, "10.0.0.1", "10.9.0.1", Route.SSH, "10.9.0.1"),
        (Transport.UNIX, "", "127.0.0.1", Route.DIRECT, "127.0.0.1"),
        (Transport.UNIX, "", "", Route.DIRECT, "127.0.0.1"),
    ],
)
def test_a_screen_is_reached_where_it_listens(
    transport: Transport, address: str, listen: str, route: Route, where: str
) -> None:
    host = HostFactory.build(pk=1, transport=transport, address=address)
    target = screen_target(host, "web1", (SPICE, vnc(listen)))
    assert (target.route, target.address, target.port) == (route, where, 5900)


@pytest.mark.parametrize(("transport", "route"), [(Transport.SSH, Route.SSH), (Transport.UNIX, Route.DIRECT)])
def test_a_screen_on_a_socket_file_is_reached_over_ssh_and_on_this_machine(transport: Transport, route: Route) -> None:
    host = HostFactory.build(pk=1, transport=transport)
    target = screen_target(host, "web1", (vnc(port=None, unix_socket="/run/web1.vnc"),))
    assert (target.route, target.address, target.port) == (route, "/run/web1.vnc", 0)


@pytest.mark.parametrize("screen", [vnc("127.0.0.1"), vnc("::1"), vnc(""), vnc(port=None, unix_socket="/run/web1.vnc")])
def test_a_screen_that_only_its_host_reaches_is_explained(screen: Graphics) -> None:
    host = HostFactory.build(pk=1, name="kvm1", transport=Transport.TCP, address="10.0.0.1")
    with pytest.raises(Unsupported, match="only kvm1 itself can reach") as caught:
        screen_target(host, "web1", (screen,))
    assert "SSH" in caught.value.hint


@pytest.mark.parametrize("graphics", [(), (SPICE,), (vnc(port=None),)])
def test_a_guest_without_a_vnc_screen_is_told_so(graphics: tuple[Graphics, ...]) -> None:
    with pytest.raises(Unsupported, match="web1 has no VNC screen"):
        screen_target(HostFactory.build(pk=1), "web1", graphics)
