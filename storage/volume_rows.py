"""The rows of volumes that a job has just made, changed or deleted: pages show them before the next survey."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from storage.inventory import forget_volume, record_volume
from storage.models import Pool
from storage.services import pool_changed
from vmdash.jobs.database import insist
from vmdash.virt.errors import VolumeNotFound

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection


def volume_id(pool: Pool, name: str) -> str:
    """What jobs call the volume as their target, also before it is made and after it is gone: at most 64 letters."""
    return f"{pool.pk}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def reread(connection: HostConnection, pool: Pool, name: str) -> None:
    """Bring the row of a volume up to date, and have the collector read its pool. Raises VirtError."""
    try:
        definition = connection.pool(pool.name).volume(name).definition()
    except VolumeNotFound:
        insist(lambda: forget_volume(pool, name))
    else:
        insist(lambda: record_volume(pool, definition))
    pool_changed(pool.host_id, pool.uuid)


def forget(pool: Pool, name: str) -> None:
    """There is no such volume any more: the same, where that is known already."""
    insist(lambda: forget_volume(pool, name))
    pool_changed(pool.host_id, pool.uuid)
