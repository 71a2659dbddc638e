"""A quick look at a host before ``virConnectOpen``, which cannot be cancelled and may never return.

Everything here ends within its timeout, uses no libvirt, and tells apart what libvirt would only call "cannot connect".
The probe is no gate: libvirt verifies everything again when it opens the connection, and a wrong SASL password shows
only then.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from vmdash.virt import errors
from vmdash.virt.credentials import Credentials
from vmdash.virt.identity import HostKey, ServerCertificate
from vmdash.virt.probe_attempt import Attempt, CheckAddress
from vmdash.virt.probe_ssh import host_key_and_auth
from vmdash.virt.probe_tls import certificate_and_auth
from vmdash.virt.rpc import AUTH_LIST_CALL
from vmdash.virt.uri import Driver, Endpoint, Transport

TIMEOUT_S = 5.0
SSH_TIMEOUT_S = 8.0
"""A login takes seconds on a busy host."""

# The sockets of the modular daemons, which are newer, and of the monolithic one, in the order libvirt tries them.
_SOCKETS = ("/run/libvirt/virt{driver}d-sock", "/run/libvirt/libvirt-sock")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A libvirt daemon that talks. ``latency_s`` is the time of a TCP connect, about one round trip.

    ``auth`` are the methods it offers (none, sasl, polkit), in its order; empty where there was nothing to ask.
    """

    latency_s: float = 0.0
    auth: tuple[str, ...] = ()
    certificate: ServerCertificate | None = None
    host_key: HostKey | None = None


async def probe(
    endpoint: Endpoint,
    credentials: Credentials | None = None,
    *,
    runtime_dir: Path,
    name: str = "",
    timeout_s: float | None = None,
    check_address: CheckAddress | None = None,
) -> ProbeResult:
    """Find out whether a libvirt daemon answers there. Raises the HostError that says why not; InvalidInput.

    ``runtime_dir`` as in ``HostConnection.open``; ``name`` is what messages call the host; ``timeout_s`` None means
    ``SSH_TIMEOUT_S`` or ``TIMEOUT_S``; ``check_address`` as in ``Attempt``.
    """
    if timeout_s is None:
        timeout_s = SSH_TIMEOUT_S if endpoint.is_ssh else TIMEOUT_S
    deadline = asyncio.get_running_loop().time() + timeout_s
    attempt = Attempt(
        endpoint,
        credentials or Credentials(),
        runtime_dir,
        name or endpoint.address or str(endpoint),
        deadline,
        check_address,
    )
    if endpoint.transport is Transport.UNIX:
        return await _probe_unix(attempt)
    async with attempt.connected() as link:
        if endpoint.transport is Transport.TLS:
            certificate, auth = await certificate_and_auth(attempt, link)
            result = ProbeResult(link.latency_s, auth, certificate=certificate)
        elif endpoint.is_ssh:
            key, auth = await host_key_and_auth(attempt, link)
            result = ProbeResult(link.latency_s, auth, host_key=key)
        else:
            link.writer.write(AUTH_LIST_CALL)
            result = ProbeResult(link.latency_s, await attempt.auth_list(link, link.reader))
    if "sasl" in result.auth and "none" not in result.auth and not attempt.credentials.sasl_username:
        raise attempt.failure(
            errors.AuthenticationFailed, reason="it asks for a user name and a password (SASL), and none are stored"
        )
    return result


async def _probe_unix(attempt: Attempt) -> ProbeResult:
    """The daemon of this machine. Nothing to ask where there is none: the test driver, or one that starts on demand."""
    path = attempt.endpoint.extra.get("socket") or _find_socket(attempt.endpoint)
    if path is None:
        return ProbeResult()
    async with attempt.connected_to_socket(path) as link:
        link.writer.write(AUTH_LIST_CALL)
        return ProbeResult(link.latency_s, await attempt.auth_list(link, link.reader))


def _find_socket(endpoint: Endpoint) -> str | None:
    if endpoint.driver is Driver.TEST or endpoint.effective_path != "/system":
        return None
    candidates = [socket.format(driver=endpoint.driver) for socket in _SOCKETS]
    return next(filter(os.path.exists, candidates), candidates[-1])
