"""A libvirtd of the tests' own with real pools and volumes: the session daemon of an ordinary user, without guests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from django.utils import timezone

from hosts.models import Host
from storage.models import Pool as PoolRow
from tests.factories import HostFactory
from tests.libvirtd import Libvirtd
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import VirtError
from vmdash.virt.pool import Pool
from vmdash.virt.uri import Endpoint

_POOL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"


class StorageHost(Libvirtd):
    """`pool()` makes folders below `directory`; `row()` is the host as the database knows it."""

    def __init__(self) -> None:
        self._connection: HostConnection | None = None
        super().__init__()

    def _answers(self) -> bool:
        with suppress(VirtError):
            self._connection = HostConnection.open(self.session, runtime_dir=self.directory, keepalive=None)
        return self._connection is not None

    @property
    def session(self) -> Endpoint:
        return Endpoint.parse(f"qemu+tcp://127.0.0.1:{self.port}/session")

    @property
    def connection(self) -> HostConnection:
        assert self._connection is not None
        return self._connection

    def row(self, name: str = "store1") -> Host:
        return Host.objects.filter(name=name).first() or HostFactory.create(
            name=name, driver="qemu", transport="tcp", address="127.0.0.1", port=self.port, path="/session"
        )

    def pool(self, name: str = "images") -> Pool:
        """An empty folder pool, active."""
        with suppress(VirtError):
            old = self.connection.pool(name)
            with suppress(VirtError):
                old.stop()
            with suppress(VirtError):
                old.undefine()
        path = self.pool_path(name)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        self.own(path)
        pool = self.connection.define_pool(_POOL.format(name=name, path=path))
        pool.start()
        return pool

    def pool_row(self, name: str = "images", host: str = "store1") -> PoolRow:
        """The pool, new and empty, and its row as the survey writes it."""
        facts = self.pool(name).facts()
        return PoolRow.objects.create(
            host=self.row(host),
            uuid=facts.uuid,
            name=name,
            type=facts.type,
            state=facts.state.value,
            capacity_bytes=facts.capacity_bytes,
            allocation_bytes=facts.allocation_bytes,
            available_bytes=facts.available_bytes,
            path=facts.target_path,
            seen_at=timezone.now(),
        )

    def pool_path(self, name: str = "images") -> Path:
        return Path(self.directory) / "home" / f"pool-{name}"

    def own(self, path: Path) -> None:
        """Give a file to the user of the daemon."""
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            os.chown(path, account.pw_uid, account.pw_gid)

    def disk(self, name: str, *writes: str, size: str = "256M", pool: str = "images", format: str = "qcow2") -> Path:
        """An image in a pool, with what qemu-io writes into it: `disk("a.qcow2", "write -P 7 0 64M")`."""
        path = self.pool_path(pool) / name
        subprocess.run(["qemu-img", "create", "-q", "-f", format, path, size], check=True)
        for write in writes:
            subprocess.run(["qemu-io", "-f", format, "-c", write, path], check=True, stdout=subprocess.DEVNULL)
        self.own(path)
        self.connection.pool(pool).refresh()
        return path

    def names(self, pool: str = "images") -> set[str]:
        """What is in the pool, and in its folder: the two must agree."""
        live = self.connection.pool(pool)
        live.refresh()
        names = {volume.name for volume in live.volumes()}
        assert names == {path.name for path in self.pool_path(pool).iterdir()}
        return names

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.thaw()
        if self._connection is not None:
            self._connection.close()
        super().stop()
