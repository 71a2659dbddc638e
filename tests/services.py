"""Private servers for the tests: they listen on loopback or a socket file, and end with the test run.

`setpriv --pdeathsig` ends them even when the test run itself is killed.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import httpx
import redis

from tests.polling import poll


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind((address, 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A server process with a folder of its own under /tmp; `stop()` ends it and removes the folder."""

    def __init__(self, name: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"vmdash-{name}-"))
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, *command: str | Path) -> None:
        log = self.directory / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _wait(self, deadline_s: float = 60) -> None:
        """Wait until `_answers()`; when the process ends before, raise with what it logged."""
        try:
            poll(lambda: self.has_ended() or self._answers(), deadline_s, f"{type(self).__name__} to answer")
        except TimeoutError:
            self.stop()
            raise
        if self.has_ended():
            raise RuntimeError(f"{type(self).__name__} did not start: {(self.directory / 'log').read_text()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        raise NotImplementedError

    def kill(self) -> None:
        """End it as the kernel would when memory is short; `begin` of those that have it starts it again."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def halt(self) -> None:
        """End it in good order; what it stored stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # a quick but orderly end, for each of these servers
            self._process.wait(timeout=20)
            self._process = None

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.directory, ignore_errors=True)


class Redis(Server):
    """A private Redis. `url` holds its password."""

    def __init__(self) -> None:
        super().__init__("redis")
        self.port = free_port()
        password = secrets.token_hex(16)
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0"
        config = self.directory / "redis.conf"
        config.write_text(
            f'bind 127.0.0.1\nport {self.port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {self.directory}\n'
        )
        self._config = config
        self.begin()

    def begin(self) -> None:
        self._start("redis-server", self._config)
        self._wait()

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


class VictoriaMetrics(Server):
    """A private history store."""

    def __init__(self, port: int, retention: str = "1", *, memory_percent: int = 2) -> None:
        """`retention` is in months, or such as `2y`. With less memory than its series need it gets very slow."""
        super().__init__("victoria-metrics")
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._retention = retention
        self._memory_percent = memory_percent
        self.begin()

    def begin(self) -> None:
        self._start(
            "victoria-metrics",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self.directory / 'data'}",
            f"-retentionPeriod={self._retention}",
            f"-memory.allowedPercent={self._memory_percent}",
            "-search.latencyOffset=0s",
        )
        self._wait()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").is_success
        except httpx.TransportError:
            return False


class PostgreSQL(Server):
    """A private cluster that is reached over a socket file; nothing it writes is forced to the disk."""

    def __init__(self) -> None:
        super().__init__("postgresql")
        self.url = f"postgres://postgres@/{self.directory}/vmdash"
        data = self.directory / "data"
        account = self._account()
        binaries = self._binaries()
        subprocess.run(
            [*account, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=self.directory,
        )
        self.begin()

    def begin(self) -> None:
        options = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=")
        (self.directory / ".s.PGSQL.5432").unlink(missing_ok=True)  # of one that was killed
        self._start(
            *self._account(), self._binaries() / "postgres", "-D", self.directory / "data", "-k", self.directory,
            *(f"-c{option}" for option in options),
        )  # fmt: skip
        self._wait()

    def _account(self) -> list[str]:
        """What to put before a command: PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return []
        account = pwd.getpwnam("postgres")
        os.chown(self.directory, account.pw_uid, account.pw_gid)
        return ["setpriv", "--pdeathsig", "KILL", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]

    @staticmethod
    def _binaries() -> Path:
        """Debian keeps them out of the path, one folder per version: the newest."""
        return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))

    def _answers(self) -> bool:
        return (self.directory / ".s.PGSQL.5432").exists()
