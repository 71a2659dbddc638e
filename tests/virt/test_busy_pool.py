"""libvirt looks through no pool while it is making a volume there."""

from __future__ import annotations

import threading

import pytest

from tests.polling import poll
from tests.storage_host import StorageHost
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import PoolBusy, VolumeNotFound
from vmdash.virt.pool import Pool
from vmdash.virt.xml.volume import VolumeSpec

MIB = 1 << 20


def is_being_made(pool: Pool, name: str) -> bool:
    try:
        return pool.volume(name).is_being_made()
    except VolumeNotFound:
        return False


def test_it_is_waited_for_as_long_as_one_likes(storage_host: StorageHost) -> None:
    pool = storage_host.pool()
    storage_host.disk("a.qcow2", "write -P 7 0 768M", size="1G")
    made = threading.Event()

    def copy() -> None:
        with HostConnection.open(storage_host.session, runtime_dir=storage_host.directory, keepalive=None) as own:
            there = own.pool("images")
            there.clone_volume(VolumeSpec("b.qcow2", 1024 * MIB, format="qcow2"), there.volume("a.qcow2"))
            made.set()

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        poll(lambda: is_being_made(pool, "b.qcow2"), 20, "the copy to begin")
        with pytest.raises(PoolBusy, match="a volume is being made or copied there"):
            pool.refresh(patience_s=0)
        assert pool.find("a.qcow2").name == "a.qcow2"
        pool.refresh(patience_s=60)
        poll(made.is_set, 10, "the copy to end")
        (storage_host.pool_path() / "new").write_bytes(b"behind its back")
        assert pool.find("new").name == "new"
        with pytest.raises(VolumeNotFound):
            pool.find("missing")
    finally:
        thread.join()
