"""What opens a host: ``Credentials``, and the private files and URI parameters libvirt wants them as.

libvirt takes TLS and SSH keys as files. They are written to a directory per host which the caller chooses (on a tmpfs
in production), readable by our user alone; SASL passwords never touch a disk, they go through the callback of
``virConnectOpenAuth``.
"""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from vmdash.exceptions import InvalidInput
from vmdash.virt.identity import parse_host_keys
from vmdash.virt.uri import Endpoint, Transport

SSH_WRAPPER = Path(__file__).with_name("ssh_wrapper.sh")
SSH_CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Credentials:
    """All secrets of one host; what its transport does not need stays empty. Its repr shows none of them.

    ``tls_ca_pem``: the CA to trust or, where the operator confirmed a fingerprint, the server's very certificate.
    ``ssh_host_keys``: the host's confirmed SSH keys, a line ``TYPE BASE64`` each.
    """

    sasl_username: str = field(default="", repr=False)
    sasl_password: str = field(default="", repr=False)
    tls_ca_pem: str = field(default="", repr=False)
    tls_certificate_pem: str = field(default="", repr=False)
    tls_key_pem: str = field(default="", repr=False)
    ssh_private_key_pem: str = field(default="", repr=False)
    ssh_host_keys: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Materialised:
    """``uri`` for ``virConnectOpenAuth`` and the directory its files are in."""

    uri: str
    directory: Path


def materialise(endpoint: Endpoint, credentials: Credentials, runtime_dir: Path) -> Materialised:
    """Write what libvirt must read to ``runtime_dir``. Doing it again changes nothing; other processes may share it.

    Raises InvalidInput for keys and certificates that are none.
    """
    parameters: dict[str, str] = {}
    if endpoint.transport is Transport.TLS:
        parameters = _write_tls(credentials, runtime_dir)
    elif endpoint.transport is Transport.SSH:
        parameters = {"command": str(write_ssh_command(endpoint, credentials, runtime_dir)), "no_tty": "1"}
    elif endpoint.transport is Transport.LIBSSH:
        parameters = _write_libssh(endpoint, credentials, runtime_dir)
    return Materialised(endpoint.uri(parameters), runtime_dir)


def forget(runtime_dir: Path) -> None:
    """Remove everything ``materialise`` wrote there."""
    shutil.rmtree(runtime_dir, ignore_errors=True)


def write_ssh_command(endpoint: Endpoint, credentials: Credentials, directory: Path) -> Path:
    """A program to be called like ``ssh``, which uses these credentials and trusts these host keys only.

    It is a link to our wrapper, which finds the ssh_config beside the name it is called by: a link, and not a script of
    its own, because /run is often mounted noexec.
    """
    _write_private(directory / "known_hosts", _known_hosts(endpoint, credentials))
    options = [
        "BatchMode yes",
        "StrictHostKeyChecking yes",
        f"UserKnownHostsFile {_ssh_path(directory / 'known_hosts')}",
        "GlobalKnownHostsFile /dev/null",
        "UpdateHostKeys no",
        f"ConnectTimeout {SSH_CONNECT_TIMEOUT_S}",
        "ServerAliveInterval 5",
        "ServerAliveCountMax 3",
    ]
    if credentials.ssh_private_key_pem:
        _write_private(directory / "id", _ended(credentials.ssh_private_key_pem))
        options += ["IdentitiesOnly yes", "IdentityAgent none", f"IdentityFile {_ssh_path(directory / 'id')}"]
    _write_private(directory / "ssh_config", _ended("\n".join(options)))
    link = directory / "ssh"
    if not (link.is_symlink() and link.readlink() == SSH_WRAPPER):
        fresh = directory / f".ssh.{_own()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(SSH_WRAPPER)
        fresh.replace(link)
    return link


def _write_tls(credentials: Credentials, directory: Path) -> dict[str, str]:
    parameters = {"pkipath": str(directory)}
    if credentials.tls_ca_pem:
        _write_private(directory / "cacert.pem", credentials.tls_ca_pem)
        if not _is_ca(credentials.tls_ca_pem):
            # A confirmed server certificate: libvirt's sanity check insists on a CA. The peer is verified all the same.
            parameters["no_sanity"] = "1"
    if credentials.tls_certificate_pem:
        _write_private(directory / "clientcert.pem", credentials.tls_certificate_pem)
        _write_private(directory / "clientkey.pem", credentials.tls_key_pem)
    return parameters


def _write_libssh(endpoint: Endpoint, credentials: Credentials, directory: Path) -> dict[str, str]:
    _write_private(directory / "known_hosts", _known_hosts(endpoint, credentials))
    parameters = {"known_hosts": str(directory / "known_hosts"), "known_hosts_verify": "normal", "no_tty": "1"}
    if credentials.ssh_private_key_pem:
        _write_private(directory / "id", _ended(credentials.ssh_private_key_pem))
        parameters |= {"keyfile": str(directory / "id"), "sshauth": "privkey"}
    return parameters


def _write_private(path: Path, text: str) -> None:
    """Atomically, 0600 in a 0700 directory, and only when it differs: another process may be reading it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    try:
        if path.read_text() == text:
            return
    except FileNotFoundError:
        pass
    fresh = path.with_name(f".{path.name}.{_own()}")
    fresh.unlink(missing_ok=True)
    fresh.touch(0o600, exist_ok=False)
    fresh.write_text(text)
    fresh.replace(path)


def _own() -> str:
    """Part of a name that no other process or thread uses."""
    return f"{os.getpid()}-{threading.get_native_id()}"


def _is_ca(pem: str) -> bool:
    try:
        certificate = x509.load_pem_x509_certificates(pem.encode())[0]
    except ValueError as error:
        raise InvalidInput("The trusted CA is not a certificate in PEM format.", detail=str(error)) from error
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _known_hosts(endpoint: Endpoint, credentials: Credentials) -> str:
    """Made for the address in use, so that it holds after the address was edited."""
    port = endpoint.effective_port
    pattern = endpoint.address if port == 22 else f"[{endpoint.address}]:{port}"
    try:
        keys = parse_host_keys(credentials.ssh_host_keys)
    except ValueError as error:
        raise InvalidInput("The confirmed SSH host key is not a public key.", detail=str(error)) from error
    return "".join(f"{pattern} {key.line}\n" for key in keys)


def _ended(text: str) -> str:
    """With one line end: OpenSSH refuses a key file without."""
    return text.strip() + "\n" if text.strip() else ""


def _ssh_path(path: Path) -> str:
    return '"' + str(path).replace("%", "%%").replace('"', '\\"') + '"'
