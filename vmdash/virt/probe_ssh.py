"""The SSH part of a probe: is its key the confirmed one, are we let in, and is libvirt behind it?"""

from __future__ import annotations

import asyncio
import re
import shlex
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from vmdash.virt import errors
from vmdash.virt.credentials import materialise, write_ssh_command
from vmdash.virt.errors import HostKeyError
from vmdash.virt.identity import HostKey, parse_host_keys
from vmdash.virt.probe_attempt import Attempt, Link
from vmdash.virt.rpc import AUTH_LIST_CALL, NotAReply, read_auth_list

_KEY_KINDS = "ed25519,ecdsa,rsa"
_BANNER_BYTES = 8192
_SSH_FAILED = 255  # ssh's own exit status; anything else is the remote command's

_REFUSAL = re.compile("permission denied|too many authentication failures|no supported authentication", re.IGNORECASE)
_NO_ROOM = (b"Exceeded MaxStartups", b"Not allowed at this time")
_CUT_OFF = "its SSH server ended the connection; it may be shutting down, or have too many connections"

# What libvirt runs on the host (virNetClientSSHHelperCommand): its helper, which finds the daemon's socket, or netcat.
_REMOTE_COMMAND = (
    "if command -v virt-ssh-helper >/dev/null 2>&1; then exec virt-ssh-helper {uri}; else exec nc -U {socket}; fi"
)


async def host_key_and_auth(attempt: Attempt, link: Link) -> tuple[HostKey, tuple[str, ...]]:
    """Read the banner, log in, and ask libvirt through SSH what authentication it wants.

    Raises HostError, InvalidInput.
    """
    await _banner(attempt, link)
    materialise(attempt.endpoint, attempt.credentials, attempt.runtime_dir)  # refuses malformed keys
    confirmed = parse_host_keys(attempt.credentials.ssh_host_keys)
    if not confirmed:
        raise _key_failure(attempt, errors.HostKeyUnknown, await _shown_keys(attempt))
    return confirmed[0], await _auth_list(attempt, confirmed)


async def _banner(attempt: Attempt, link: Link) -> None:
    """The server's first line that begins with SSH-; others may come before it. Source: RFC 4253, 4.2."""

    async def read() -> bytes:
        seen = b""
        while len(seen) < _BANNER_BYTES and (line := await link.reader.readline()):
            if line.startswith(b"SSH-"):
                return line
            seen += line
        raise NotAReply(seen)

    try:
        await attempt.ask(link, read)
    except (NotAReply, OSError, ValueError) as error:  # ValueError: a line without an end
        if isinstance(error, NotAReply) and error.received.startswith(_NO_ROOM):
            raise attempt.failure(errors.ConnectionFailed, reason=_CUT_OFF, detail=str(error)) from error
        raise attempt.failure(errors.NotSsh, detail=str(error)) from error


async def _auth_list(attempt: Attempt, confirmed: tuple[HostKey, ...]) -> tuple[str, ...]:
    endpoint = attempt.endpoint
    uri = f"{endpoint.driver}://{endpoint.effective_path}"
    socket = endpoint.extra.get("socket", "/var/run/libvirt/libvirt-sock")
    remote = _REMOTE_COMMAND.format(uri=shlex.quote(uri), socket=shlex.quote(socket))
    user = ["-l", endpoint.username] if endpoint.username else []
    program = write_ssh_command(endpoint, attempt.credentials, attempt.runtime_dir)
    options = ["-p", str(endpoint.effective_port), *user, "-T", "-e", "none"]
    async with _running(str(program), *options, "--", endpoint.address, f"sh -c {shlex.quote(remote)}") as ssh:
        assert ssh.stdin and ssh.stdout and ssh.stderr  # noqa: S101  asked for with PIPE
        try:
            async with asyncio.timeout_at(attempt.deadline):
                with suppress(ConnectionError):  # it ended already; what it says comes next
                    ssh.stdin.write(AUTH_LIST_CALL)
                    await ssh.stdin.drain()
                try:
                    return await read_auth_list(ssh.stdout)
                except NotAReply as reply:
                    if reply.received:
                        raise attempt.failure(
                            errors.NotLibvirt,
                            reason="its login prints something of its own before libvirt can speak",
                            detail=str(reply),
                        ) from reply
                detail = (await ssh.stderr.read()).decode(errors="replace").strip()
                status = await ssh.wait()
        except TimeoutError as error:
            raise attempt.failure(errors.HostHung) from error
    if status != _SSH_FAILED:
        raise attempt.failure(errors.LibvirtMissing, detail=detail)
    shown = await _shown_keys(attempt)
    if shown and not set(shown) & set(confirmed):
        raise _key_failure(attempt, errors.HostKeyChanged, shown)
    if _REFUSAL.search(detail):
        raise attempt.failure(errors.AuthenticationFailed, reason="its SSH server refused the login", detail=detail)
    raise attempt.failure(errors.ConnectionFailed, reason=_CUT_OFF, detail=detail)


async def _shown_keys(attempt: Attempt) -> tuple[HostKey, ...]:
    """The server's keys, the preferred kind first; none when they cannot be had in time."""
    port = str(attempt.endpoint.effective_port)
    async with _running("ssh-keyscan", "-p", port, "-t", _KEY_KINDS, attempt.endpoint.address, stdin=DEVNULL) as scan:
        assert scan.stdout  # noqa: S101  asked for with PIPE
        try:
            async with asyncio.timeout_at(attempt.deadline):
                told = (await scan.stdout.read()).decode(errors="replace")
        except TimeoutError:
            return ()
    with suppress(ValueError):
        keys = parse_host_keys(told)
        return tuple(sorted(keys, key=lambda key: _preference(key.kind)))
    return ()


def _preference(kind: str) -> int:
    return next((n for n, word in enumerate(_KEY_KINDS.split(",")) if word in kind), 99)


def _key_failure(attempt: Attempt, kind: type[HostKeyError], shown: tuple[HostKey, ...]) -> HostKeyError:
    error = attempt.failure(kind, detail="\n".join(f"{key.kind} {key.sha256}" for key in shown))
    error.host_keys = shown
    return error


@asynccontextmanager
async def _running(*command: str, stdin: int = PIPE) -> AsyncIterator[Process]:
    """A child process that does not outlive the block."""
    process = await asyncio.create_subprocess_exec(*command, stdin=stdin, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
