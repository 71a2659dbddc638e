"""From a host's row to an open libvirt connection: for the collector, the workers and the console gateway.

Importing this does not load libvirt, so that the web process may ask for addresses.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from hosts.addresses import check_reachable
from hosts.idle import IdleConnections
from hosts.models import Credential, Host
from vmdash.virt.credentials import Credentials
from vmdash.virt.errors import HostHung
from vmdash.virt.uri import Driver, Endpoint, Transport

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection

PATIENCE_S = 30
"""How long to wait for others that are opening the same host."""

_idle = IdleConnections()
_opening: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)


def endpoint(host: Host) -> Endpoint:
    """Where the host's libvirt daemon is. Raises InvalidInput for what cannot be an address."""
    return Endpoint(
        driver=Driver(host.driver),
        transport=Transport(host.transport),
        address=host.address,
        port=host.port,
        username=host.username,
        path=host.path,
    )


def migration_uri(host: Host) -> str:
    """Where the libvirt daemons of other hosts reach this one; empty when nothing leads there from outside."""
    if host.migration_uri:
        return host.migration_uri
    where = endpoint(host)
    return where.uri() if where.is_remote else ""


def credentials(host: Host) -> Credentials:
    """What opens the host. A host key or certificate that a person confirmed is what is trusted, before any CA."""
    stored = host.credential or Credential()
    is_sasl = stored.kind == Credential.Kind.SASL
    is_tls = stored.kind == Credential.Kind.TLS
    is_ssh = stored.kind == Credential.Kind.SSH_KEY
    return Credentials(
        sasl_username=stored.username if is_sasl else "",
        sasl_password=stored.password if is_sasl else "",
        tls_ca_pem=host.known_certificate or stored.ca_certificate,
        tls_certificate_pem=stored.certificate if is_tls else "",
        tls_key_pem=stored.private_key if is_tls else "",
        ssh_private_key_pem=stored.private_key if is_ssh else "",
        ssh_host_keys=host.known_host_key,
    )


def runtime_dir(host: Host) -> Path:
    """The private folder for the files that libvirt and ssh want to read for this host."""
    return settings.RUNTIME_DIR / "hosts" / str(host.pk)


@contextmanager
def connected(host: Host, *, read_only: bool = False) -> Iterator[HostConnection]:
    """A connection for one piece of work, used by this thread alone.

    After work that went well it is kept for some seconds for the next one (`hosts.idle`). In a process without an event
    loop for libvirt, libvirt's own gets a thread. Connections to one host are opened one after the other: an SSH server
    turns away whoever knocks too often at once.

    Raises:
        HostError: the host does not answer, or not as it should.
        InvalidInput: its name leads where no host can be.
    """
    from vmdash.virt import eventloop
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.probe import probe

    where, secrets, folder = endpoint(host), credentials(host), runtime_dir(host)
    key = (host.pk, where, secrets, folder, read_only)
    connection = _idle.take(key)
    if connection is None:
        with _one_at_a_time(host):
            asyncio.run(probe(where, secrets, runtime_dir=folder, name=host.name, check_address=check_reachable))
            if not eventloop.is_registered():
                eventloop.start_thread()
            connection = HostConnection.open(where, secrets, runtime_dir=folder, name=host.name, read_only=read_only)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    _idle.keep(key, connection)


@contextmanager
def _one_at_a_time(host: Host) -> Iterator[None]:
    lock = _opening[host.pk]
    if not lock.acquire(timeout=PATIENCE_S):
        raise HostHung.because(f"connect to {host.name}", reason="others have been trying for too long")
    try:
        yield
    finally:
        lock.release()
