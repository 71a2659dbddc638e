"""The worker's part of opening a screen: where does it listen, and a fresh password for it."""

from __future__ import annotations

import ipaddress
import secrets
import string
from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from domains.consoles import tickets
from domains.consoles.tickets import LIFETIME_S, Opening, Route, Target
from domains.models import Domain
from hosts.connect import connected
from hosts.models import Host, Transport
from vmdash.exceptions import NotFound, Unsupported
from vmdash.jobs.registry import Kind, Queue, Result, register
from vmdash.virt.errors import CallError, GuestNotRunning

if TYPE_CHECKING:
    from vmdash.jobs.context import JobContext
    from vmdash.virt.guest import Guest
    from vmdash.virt.xml.domain import Graphics

_PASSWORD_LETTERS = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 8
"""All that VNC looks at."""


def open_screen(ctx: JobContext) -> Result:
    """Leave an `Opening` for the one who asked. Raises VmdashError."""
    domain = Domain.objects.present().select_related("host__credential").filter(pk=ctx.job.target_id).first()
    if domain is None:
        raise NotFound("The guest is gone.")
    with connected(domain.host) as connection:
        guest = connection.guest(str(domain.pk))
        if not guest.is_active():
            raise GuestNotRunning.because(f"open the screen of {guest.name}", domain.host.name)
        target = screen_target(domain.host, guest.name, guest.graphics())
        password = _set_password(ctx, guest)
    tickets.leave_opening(ctx.job.pk, Opening(target=target, password=password))
    return {}


CONSOLE_OPEN = register(Kind(name="console.open", run=open_screen, queue=Queue.ACTIONS, time_limit_s=30))


def screen_target(host: Host, guest: str, graphics: tuple[Graphics, ...]) -> Target:
    """How the gateway reaches the guest's VNC server.

    Raises:
        Unsupported: it has none, or only its own host can reach it.
    """
    screens = [screen for screen in graphics if screen.type == "vnc" and (screen.port or screen.socket)]
    if not screens:
        raise Unsupported(f"{guest} has no VNC screen.", hint="Use its serial console, or add a VNC display to it.")
    screen = screens[0]
    route = Route.SSH if host.transport in (Transport.SSH, Transport.LIBSSH) else Route.DIRECT
    is_local = route is Route.SSH or host.transport == Transport.UNIX
    if not screen.port:
        if not is_local:
            raise _unreachable(host, guest, f"on the UNIX socket {screen.socket}")
        return Target(host.pk, route, screen.socket)
    listen = screen.listen or "127.0.0.1"
    if is_local:
        return Target(host.pk, route, _LOOPBACK_FOR.get(listen, listen), screen.port)
    if listen in _LOOPBACK_FOR:
        return Target(host.pk, route, host.address, screen.port)
    if _is_loopback(listen) and not _is_loopback(host.address):
        raise _unreachable(host, guest, f"on {listen}")
    return Target(host.pk, route, listen, screen.port)


_LOOPBACK_FOR = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (addresses that mean all of them)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _unreachable(host: Host, guest: str, where: str) -> Unsupported:
    return Unsupported(
        f"The screen of {guest} listens {where}, which only {host.name} itself can reach.",
        hint="Let vmdash reach the host over SSH, or set vnc_listen in its qemu.conf and restart the guest.",
    )


def _set_password(ctx: JobContext, guest: Guest) -> str:
    """A fresh password that soon expires; none where the screen was started without one."""
    password = "".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(_PASSWORD_LENGTH))
    try:
        guest.set_vnc_password(password, timezone.now() + timedelta(seconds=LIFETIME_S))
    except CallError as error:
        ctx.log(f"The screen keeps the password it has, if any: {error.detail or error}")
        return ""
    return password
