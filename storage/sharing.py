"""Finding out whether pools of several hosts are one storage: a volume made through one is looked for in the others.

The volume carries the job's id in its name, so nothing else can be taken for it, and an interrupted job's is found and
removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db import transaction

from hosts.connect import connected
from storage.inventory import announce_pools, drop_lonely_storages
from storage.models import Pool, Storage
from storage.services import pool_changed
from vmdash.exceptions import NotFound, VmdashError
from vmdash.jobs.context import JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import VolumeNotFound
from vmdash.virt.xml.volume import VolumeSpec

if TYPE_CHECKING:
    from vmdash.access.models import User

TYPES = frozenset({"dir", "fs", "netfs", "vstorage", "gluster", "rbd", "logical"})
"""Pools through which a small volume can be made and seen from elsewhere."""
_SIZE_BYTES = 4 * 1024 * 1024


def _pools(job: Job) -> list[Pool]:
    """The pools in question; the first is the one that the volume is made through. Raises NotFound."""
    wanted: list[int] = job.parameters["pools"]
    found = Pool.objects.select_related("host__credential", "storage").in_bulk(wanted)
    pools = [found[pk] for pk in wanted if pk in found]
    if not pools or pools[0].pk != wanted[0] or len(pools) < 2:
        raise NotFound("The pools to be compared are not in the inventory any more.")
    return pools


def _marker(job: Job) -> str:
    return f"vmdash-{job.pk.hex[:16]}"


def _run(ctx: JobContext) -> Result:
    first, *others = _pools(ctx.job)
    name = _marker(ctx.job)
    same, different, unknown = [first.pk], list[int](), dict[str, str]()
    with connected(first.host) as connection:
        ctx.phase(f"Making a small volume in {first}")
        connection.pool(first.name).create_volume(VolumeSpec(name, _SIZE_BYTES, format=""))
        try:
            for other in others:
                ctx.check()
                ctx.phase(f"Looking for it in {other}")
                try:
                    (same if _sees(other, name) else different).append(other.pk)
                except VmdashError as error:
                    ctx.log(error.message)
                    unknown[str(other.pk)] = str(error)
        finally:
            connection.pool(first.name).volume(name).delete()
    seen = [other for other in others if other.pk in same]
    for other in seen:  # or they would go on listing it
        with suppress(VmdashError), connected(other.host) as there:
            there.pool(other.name).refresh()
        pool_changed(other.host_id, other.uuid)
    insist(lambda: _record([first, *seen], [other for other in others if other.pk in different]))
    ctx.log(_words(first, seen, len(different), len(unknown)))
    return {"same": same, "different": different, "unknown": unknown}


def _sees(pool: Pool, name: str) -> bool:
    with connected(pool.host) as connection:
        live = connection.pool(pool.name)
        live.refresh()
        try:
            live.volume(name)
        except VolumeNotFound:
            return False
        return True


def _words(first: Pool, seen: Sequence[Pool], different: int, unknown: int) -> str:
    parts = [f"{first} is one storage with {', '.join(map(str, seen))}" if seen else f"{first} is not shared with them"]
    if different and seen:
        parts.append(f"{different} not part of it")
    if unknown:
        parts.append(f"{unknown} could not be asked")
    return "; ".join(parts) + "."


def _record(same: Sequence[Pool], different: Sequence[Pool]) -> None:
    """Write down what was seen: it outweighs what the definitions say."""
    with transaction.atomic():
        left = {pool.storage_id for pool in (*same, *different) if pool.storage_id}
        together = Pool.objects.filter(pk__in=[pool.pk for pool in same])
        apart = Pool.objects.filter(pk__in=[pool.pk for pool in different])
        known = same[0].storage
        if len(same) > 1 and not (known and all(pool.storage_id == known.pk for pool in same)):
            together.update(storage=Storage.objects.create(name=same[0].name, evidence=Storage.Evidence.MARKER))
        if known:
            apart.filter(storage=known).update(storage=None)
        drop_lonely_storages(left)
    for pool in (*same, *different):
        announce_pools(pool.host_id, [str(pool.uuid)])


def _reconcile(ctx: JobContext) -> Outcome:
    """Remove what the interrupted job may have left. Raises Unavailable."""
    first = _pools(ctx.job)[0]
    with connected(first.host) as connection:
        pool = connection.pool(first.name)
        pool.refresh()
        with suppress(VolumeNotFound):
            pool.volume(_marker(ctx.job)).delete()
    return Outcome(Job.State.FAILED, "It was interrupted; nothing of it is left. Ask for it anew.")


def _again(job: Job, user: User) -> Job:
    from storage import pool_services

    return pool_services.check_sharing(
        pools=[pool_services.find(user, pk) for pk in job.parameters["pools"]], user=user
    )


COMPARE = register(
    Kind(
        name="pool.compare",
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=3600,
        again=_again,
    )
)
