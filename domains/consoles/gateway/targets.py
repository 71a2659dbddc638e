"""The way to a console: a socket that carries its bytes.

Nothing here can hold up another session: each runs in a process of its own, and what libvirt does
runs in a thread that is left behind when it hangs.
"""

from __future__ import annotations

import select
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from domains.consoles.tickets import Route, Target
from domains.models import Domain
from hosts import connect
from hosts.addresses import check_reachable
from hosts.models import Host
from vmdash.exceptions import Unavailable
from vmdash.virt.credentials import write_ssh_command
from vmdash.virt.errors import HostHung

CONNECT_S = 5.0
ANSWER_S = 10.0
"""A VNC server speaks first; so long it may take, an SSH tunnel's opening included."""
LIBVIRT_S = 15.0
HANG_UP_S = 2.0


@dataclass(slots=True)
class Line:
    """An open way to a console. `failure` may tell, once its socket has ended, why."""

    socket: socket.socket
    failure: Exception | None = None


def open_line(target: Target, domain: Domain) -> AbstractContextManager[Line]:
    """Connect to the console; leaving the context hangs up.

    Raises:
        VmdashError: it cannot be reached.
    """
    host = Host.objects.select_related("credential").get(pk=target.host_id)
    match target.route:
        case Route.LIBVIRT:
            return _libvirt(host, domain, take_over=target.take_over)
        case Route.SSH:
            return _tunnel(host, target)
        case Route.DIRECT:
            return _direct(host, target)


@contextmanager
def _direct(host: Host, target: Target) -> Iterator[Line]:
    try:
        way = _dial(target)
    except OSError as error:
        raise _unreachable(host, target, detail=str(error)) from error
    with way:
        if target.port:
            check_reachable(ip_address(way.getpeername()[0]))  # the name may lead elsewhere now
        if not _speaks(way):
            raise _unreachable(host, target, detail="It was closed before the VNC server said anything.")
        yield Line(way)


def _dial(target: Target) -> socket.socket:
    """Raises OSError."""
    if target.port:
        way = socket.create_connection((target.address, target.port), timeout=CONNECT_S)
        way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return way
    way = socket.socket(socket.AF_UNIX)
    way.settimeout(CONNECT_S)
    try:
        way.connect(target.address)
    except OSError:
        way.close()
        raise
    return way


@contextmanager
def _tunnel(host: Host, target: Target) -> Iterator[Line]:
    """`ssh -W`, which connects its standard input and output to a port as the host sees it.

    It opens no port here that others could use. A UNIX socket over there needs OpenSSH 9.4 here.
    """
    endpoint = connect.endpoint(host)
    ssh = write_ssh_command(endpoint, connect.credentials(host), connect.runtime_dir(host))
    address = f"[{target.address}]" if ":" in target.address else target.address
    command = [
        *(str(ssh), "-W", f"{address}:{target.port}" if target.port else address),
        *("-p", str(endpoint.effective_port)),
        *(("-l", endpoint.username) if endpoint.username else ()),
        *("--", endpoint.address),
    ]
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=complaints)
        theirs.close()
        try:
            if not _speaks(ours):
                process.terminate()
                process.wait()
                complaints.seek(0)
                raise _unreachable(host, target, detail=complaints.read(2000).decode(errors="replace"))
            yield Line(ours)
        finally:
            process.terminate()
            process.wait()


@contextmanager
def _libvirt(host: Host, domain: Domain, *, take_over: bool) -> Iterator[Line]:
    ours, theirs = socket.socketpair()
    line = Line(ours)
    connected: Future[None] = Future()

    def serve() -> None:
        from vmdash.virt.console import serve_serial  # loads libvirt

        try:
            with connect.connected(host) as connection:
                guest = connection.guest(str(domain.pk))
                connected.set_result(None)
                serve_serial(guest, theirs, force=take_over)
        except Exception as error:
            line.failure = error
            if not connected.done():
                connected.set_exception(error)
        finally:
            theirs.close()

    # A daemon: a thread that hangs in libvirt does not keep the process from ending.
    server = threading.Thread(target=serve, name="serial", daemon=True)
    server.start()
    with ours:
        try:
            connected.result(LIBVIRT_S)
        except TimeoutError:
            raise HostHung.because(f"open the serial console of {domain.name}", host.name) from None
        try:
            yield line
        finally:
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            server.join(HANG_UP_S)


def _speaks(way: socket.socket) -> bool:
    """Whether the VNC server says something: it speaks first. False also when it takes too long."""
    with suppress(OSError):
        return bool(select.select([way], [], [], ANSWER_S)[0] and way.recv(1, socket.MSG_PEEK))
    return False


def _unreachable(host: Host, target: Target, detail: str) -> Unavailable:
    where = f"{target.address} port {target.port}" if target.port else target.address
    return Unavailable(
        f"No VNC server answers at {where} of {host.name}.",
        hint="Was the guest stopped or moved just now? A firewall on the host may close the ports from 5900 on.",
        detail=detail,
    )
