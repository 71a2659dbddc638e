"""Libvirt daemons of the tests' own, with libvirt's test driver: guests with states, and nothing runs in them."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
from contextlib import suppress

from tests.certificates import Authority
from tests.services import Server, free_port
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import VirtError
from vmdash.virt.guest import Guest
from vmdash.virt.uri import Endpoint

_GUEST = """<domain type='test'><name>{name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"""


class Libvirtd(Server):
    """Listens on loopback over TCP and, given an authority, over TLS with a certificate for `names`.

    The test driver forgets all when its last client leaves.
    """

    def __init__(self, authority: Authority | None = None, names: tuple[str, ...] = ("127.0.0.1",)) -> None:
        super().__init__("libvirtd")
        self.directory.chmod(0o755)
        self.port, self.tls_port = free_port(), free_port() if authority else 0
        self.endpoint = Endpoint.parse(f"test+tcp://127.0.0.1:{self.port}/default")
        settings: dict[str, int | str] = {
            "listen_tcp": 1,
            "listen_tls": 0,
            "listen_addr": "127.0.0.1",
            "tcp_port": str(self.port),
            "auth_tcp": "none",
        }
        if authority is not None:
            settings |= {"listen_tls": 1, "tls_port": str(self.tls_port), **self._write_pki(authority, names)}
        config = self.directory / "libvirtd.conf"
        config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
        home = self.directory / "home"
        home.mkdir()
        self._start(
            *self._as_nobody(home),
            *("env", f"HOME={home}", f"XDG_RUNTIME_DIR={home}", "XDG_CONFIG_HOME=", "XDG_CACHE_HOME="),
            *("/usr/sbin/libvirtd", "--listen", "--config", config),
        )
        self._wait()

    @property
    def tls_endpoint(self) -> Endpoint:
        return Endpoint.parse(f"test+tls://127.0.0.1:{self.tls_port}/default")

    def freeze(self) -> None:
        """From now on it accepts connections and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.thaw()
        super().stop()

    def _answers(self) -> bool:
        return all(_listens(port) for port in (self.port, self.tls_port) if port)

    def _as_nobody(self, home: os.PathLike[str]) -> tuple[str, ...]:
        """As root it would be the machine's own libvirtd, with the machine's own files."""
        if os.geteuid() != 0:
            return ()
        account = pwd.getpwnam("nobody")
        os.chown(home, account.pw_uid, account.pw_gid)
        identity = ("--reuid", "nobody", "--regid", str(account.pw_gid), "--clear-groups")
        return ("setpriv", "--pdeathsig", "KILL", *identity)

    def _write_pki(self, authority: Authority, names: tuple[str, ...]) -> dict[str, str]:
        certificate, key = authority.issue(*names)
        files = {"ca_file": authority.pem, "cert_file": certificate, "key_file": key}
        for name, text in files.items():
            path = self.directory / f"{name}.pem"
            path.write_text(text)
            path.chmod(0o644)
        return {name: str(self.directory / f"{name}.pem") for name in files}


class TestDriverHost(Libvirtd):
    """One that tests also act on: `connection` is their own, and keeps the test driver's memory."""

    __test__ = False

    def __init__(self) -> None:
        self._connection: HostConnection | None = None
        super().__init__()

    def _answers(self) -> bool:
        with suppress(VirtError):
            self._connection = HostConnection.open(self.endpoint, runtime_dir=self.directory, keepalive=None)
        return self._connection is not None

    @property
    def connection(self) -> HostConnection:
        assert self._connection is not None
        return self._connection

    def define(self, name: str, *, running: bool = False) -> Guest:
        """A new guest, persistent."""
        guest = self.connection.define(_GUEST.format(name=name))
        if running:
            guest.start()
        return guest

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.thaw()  # a frozen one would not let its client go
        if self._connection is not None:
            self._connection.close()
        super().stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
