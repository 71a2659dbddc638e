"""Whether two hosts reach one and the same storage: by what is known of their pools, or tried out."""

from __future__ import annotations

import posixpath
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from storage.models import Pool
from vmdash.virt.errors import CallError, PoolBusy, VolumeNotFound
from vmdash.virt.xml.volume import VolumeSpec

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.pool import Pool as LivePool
    from vmdash.virt.volume import Volume

_LOCAL_TYPES = frozenset({"dir", "fs", "logical", "disk", "zfs"})
"""Types whose definition does not tell whether another host has the same."""
_MARKER_BYTES = 4096


def is_shared(source: HostConnection, target: HostConnection, path: str) -> str:
    """How it is known that both hosts have the file or device at `path`, in a clause; empty when they have not.

    Where the inventory does not know, it is tried out: a small volume made on one host is looked for on the other.
    Raises VirtError when a host does not answer, or cannot look now.
    """
    here, there = pool_at(source, posixpath.dirname(path)), pool_at(target, posixpath.dirname(path))
    if here is None or there is None:
        return ""
    if _known(source.name, target.name, here.uuid, there.uuid):
        return f"pool {here.name} is the same storage on both hosts"
    if here.facts().type not in _LOCAL_TYPES:
        return ""
    return f"pool {here.name} is the same folder on both hosts" if _tried_out(here, there) else ""


def pool_at(connection: HostConnection, folder: str) -> LivePool | None:
    """The active pool of that folder."""
    for pool in connection.pools():
        facts = pool.facts()
        if facts.state == "running" and facts.target_path == folder:
            return pool
    return None


def volume_at(connection: HostConnection, path: str) -> Volume:
    """The volume at `path`, also one that its pool has not seen yet. Raises VolumeNotFound, PoolBusy."""
    try:
        return connection.volume_at(path)
    except VolumeNotFound:
        if pool := pool_at(connection, posixpath.dirname(path)):
            pool.refresh()
        return connection.volume_at(path)


def _known(source: str, target: str, source_pool: str, target_pool: str) -> bool:
    ours = Pool.objects.filter(host__name=source, uuid=source_pool).exclude(storage=None).values("storage")
    return Pool.objects.filter(host__name=target, uuid=target_pool, storage__in=ours).exists()


def _tried_out(here: LivePool, there: LivePool) -> bool:
    marker = f".vmdash-{uuid.uuid4().hex[:12]}"
    volume = here.create_volume(VolumeSpec(marker, _MARKER_BYTES, "raw"))
    try:
        there.refresh()
        there.volume(marker)
    except PoolBusy:
        raise
    except CallError:
        return False
    finally:
        volume.delete()
    with suppress(PoolBusy):  # it forgets it later, then
        there.refresh()
    return True
