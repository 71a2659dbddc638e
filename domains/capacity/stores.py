"""Storage counted once, although several pools show it."""

from __future__ import annotations

from collections.abc import Iterable

from storage.models import Pool

_NEARLY = 0.01


def distinct(pools: Iterable[Pool]) -> list[Pool]:
    """One pool of each storage, of those that have a size.

    Pools of several hosts that are known to be one storage count once. So do folders of one host with the same size
    and nearly the same content: they lie in one file system.
    """
    found: list[Pool] = []
    shared: set[int] = set()
    for pool in pools:
        if not pool.capacity_bytes or pool.state not in (Pool.State.RUNNING, Pool.State.DEGRADED):
            continue
        if pool.storage_id:
            if pool.storage_id in shared:
                continue
            shared.add(pool.storage_id)
        elif any(_same_file_system(pool, other) for other in found):
            continue
        found.append(pool)
    return found


def taken_bytes(pool: Pool) -> int:
    return max(0, pool.capacity_bytes - pool.available_bytes)


def _same_file_system(one: Pool, other: Pool) -> bool:
    return (
        one.host_id == other.host_id
        and one.type == other.type == "dir"
        and not other.storage_id
        and one.capacity_bytes == other.capacity_bytes
        and abs(one.available_bytes - other.available_bytes) <= _NEARLY * one.capacity_bytes
    )
