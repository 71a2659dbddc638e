"""Volumes that a job has begun to make: knowing them, finding out what came of them, and taking them away again.

So that no accident leaves a volume that nobody knows of, the job's row names each one before it is made (`mark`
"begun") and once it is whole ("made"). After an accident the kind's `reconcile` asks `settle` what is true, and
removes what shall not stay. For every job that makes volumes: clones, copies, uploads, moves.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from hosts.connect import connected
from hosts.models import Host
from storage import volume_rows
from storage.models import Pool
from vmdash.jobs.context import Cancelled, JobContext, OutcomeUnknown
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.virt.errors import AlreadyExists, CallError, HostError, PoolNotFound, VolumeNotFound

if TYPE_CHECKING:
    from vmdash.virt.pool import Pool as LivePool

POLL_S = 0.25


class Fate(StrEnum):
    """What came of a volume that an interrupted job was making."""

    ABSENT = "absent"
    COMPLETE = "complete"
    UNKNOWN = "unknown"
    """It is there, but nobody saw whether everything is in it."""


def refuse_existing(pool: LivePool, name: str) -> None:
    """Raises AlreadyExists when the pool has a volume of that name."""
    with contextlib.suppress(VolumeNotFound):
        pool.volume(name)
        raise AlreadyExists.because(
            f"make volume {name} in pool {pool.name}", pool.host, reason="there is a volume of that name already"
        )


def mark(ctx: JobContext, what: str, host: Host, pool: str, name: str) -> None:
    """Note in the job's row, for good, that the making of a volume has `begun` or that it is `made`."""
    _store(ctx, what, [*ctx.job.parameters.get(what, []), _mark(host, pool, name)])


def unmark(ctx: JobContext, host: Host, pool: str, name: str) -> None:
    """It was not made after all: what has that name is somebody else's."""
    _store(ctx, "begun", [one for one in ctx.job.parameters.get("begun", []) if one != _mark(host, pool, name)])


def is_marked(job: Job, what: str, host: Host, pool: str, name: str) -> bool:
    return _mark(host, pool, name) in job.parameters.get(what, [])


def _store(ctx: JobContext, what: str, marks: list[list[str | int]]) -> None:
    ctx.note(**{what: marks})


def _mark(host: Host, pool: str, name: str) -> list[str | int]:
    return [host.pk, pool, name]


@contextmanager
def begun(ctx: JobContext, host: Host, pool: str, name: str, *, fed: bool = False) -> Iterator[None]:
    """Inside, the volume is made. It is marked before and, when all went well, afterwards. `fed`: by bytes that are
    sent to the host, which does not know whether they are all; otherwise the host makes it whole by itself.

    Of what the host refuses (CallError) nothing is left. What has the name then is somebody else's: it is not marked
    any more, and so is never removed.
    """
    if fed:
        mark(ctx, "fed", host, pool, name)
    mark(ctx, "begun", host, pool, name)
    try:
        yield
    except CallError:
        unmark(ctx, host, pool, name)
        raise
    mark(ctx, "made", host, pool, name)


@contextmanager
def left_open(ctx: JobContext) -> Iterator[None]:
    """A host that goes away inside, when something was begun already, leaves open what there is of it: the job does not
    fail then, but is lost, and its `reconcile` finds out.

    Raises OutcomeUnknown, or the HostError where nothing was begun.
    """
    try:
        yield
    except HostError as error:
        if ctx.job.parameters.get("begun"):
            raise OutcomeUnknown(error.message) from error
        raise


def settle(ctx: JobContext, host: Host, pool: str, name: str) -> Fate:
    """What came of a volume that this interrupted job was making. Waits while the host is still at work on it.

    Raises:
        HostError: the host cannot be asked now.
        Interrupted: like `JobContext.check`, except that a cancelled job is waited for, too.
    """
    if not is_marked(ctx.job, "begun", host, pool, name):
        return Fate.ABSENT
    with connected(host) as connection:
        seen_at_work = False
        while True:
            try:
                volume = connection.pool(pool).volume(name)
            except (VolumeNotFound, PoolNotFound):
                return Fate.ABSENT
            if not volume.is_being_made():
                break
            if not seen_at_work:
                ctx.phase(f"{host.name} is still at work on {name}")
            seen_at_work = True
            with contextlib.suppress(Cancelled):
                ctx.check()
            threading.Event().wait(POLL_S)
    # A host that ends work of its own deletes what it could not finish. One that was restarted meanwhile does not.
    finished = seen_at_work and not is_marked(ctx.job, "fed", host, pool, name)
    return Fate.COMPLETE if finished or is_marked(ctx.job, "made", host, pool, name) else Fate.UNKNOWN


def remove(host: Host, pool: str, name: str) -> bool:
    """Delete a volume if it is there. Returns whether it was. Raises VirtError."""
    with connected(host) as connection:
        try:
            connection.pool(pool).volume(name).delete()
        except (VolumeNotFound, PoolNotFound):
            return False
    return True


def remove_begun(ctx: JobContext, *, but: Collection[str] = ()) -> None:
    """Remove all that this job has begun to make, and its rows, except for the volumes of these names: what a defined
    guest uses stays. A host that is still at work on one is waited for.

    Raises:
        HostError: a host cannot be asked now. CallError: it refuses.
    """
    for host_id, pool, name in ctx.job.parameters.get("begun", []):
        if name in but:
            continue
        host = insist(Host.objects.select_related("credential").filter(pk=host_id).first)
        if host is None:
            continue
        if settle(ctx, host, pool, name) is not Fate.ABSENT:
            remove(host, pool, name)
        row = insist(Pool.objects.select_related("host").filter(host=host, name=pool).first)
        if row is not None:
            volume_rows.forget(row, name)
