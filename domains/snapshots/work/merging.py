"""Merging: what an overlay holds goes into the image below it, or the other way round, while the guest runs.

QEMU does it, whether or not we watch; so everything here looks at what is true first, and may be begun anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vmdash.exceptions import Conflict
from vmdash.jobs.context import Cancelled, JobContext
from vmdash.virt import blockjob
from vmdash.virt.errors import CallError, InvalidState

if TYPE_CHECKING:
    from vmdash.virt.blockjob import BlockJob
    from vmdash.virt.guest import Guest
    from vmdash.virt.xml.domain import Disk

POLL_S = 0.25
VANISHED_S = 20
"""How long a merge that is through may take to show in the guest's definition."""


class Progress:
    """Bytes over several disks, one after the other; and how fast they may be copied."""

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx
        self.most_bytes_per_s: int = ctx.parameters.get("most_bytes_per_s", 0)
        self._before = 0
        self._last = 0

    def show(self, job: BlockJob) -> None:
        self._last = job.total_bytes
        if job.total_bytes:
            self._ctx.transferred(self._before + job.done_bytes, self._before + job.total_bytes)

    def next_disk(self) -> None:
        """One is through."""
        self._before += self._last
        self._last = 0
        self._ctx.transferred(self._before, self._before)


def layers(guest: Guest, target: str) -> list[str]:
    """The files of a disk of a running guest, the topmost first. Raises Conflict when it has no such disk."""
    disk = _disk(guest, target)
    return [disk.source, *(image.source for image in disk.backing)]


def merge_disk(
    ctx: JobContext,
    guest: Guest,
    target: str,
    *,
    upper: str,
    base: str,
    progress: Progress | None = None,
    undoing: bool = False,
) -> None:
    """Move what is in the file `upper` into `base` below it, and delete `upper`. The guest runs on.

    A merge that is under way already is followed; one that is through is nothing to do. `undoing`: the job is being
    cancelled, and this is a part of that.

    Raises:
        Cancelled: the disk is as it was. Conflict: it cannot be done, or the guest went off meanwhile.
    """
    progress = progress or Progress(ctx)
    found = layers(guest, target)
    if blockjob.info(guest, target) is None:
        if upper not in found:
            return
        if base not in found[found.index(upper) :]:
            raise Conflict(f"Cannot merge disk {target} of {guest.name}: {base} is not below {upper}.")
        top = found[0] == upper
        blockjob.commit(
            guest,
            target,
            base=base,
            top="" if top else upper,
            active=top,
            delete=True,
            bandwidth_bytes_per_s=progress.most_bytes_per_s,
        )
    _follow(ctx, guest, target, progress, undoing=undoing)
    if not _goes(guest, target, upper):
        raise Conflict(
            f"Disk {target} of {guest.name} was not merged: the copying ended early.",
            hint="Nothing is lost. Look whether its storage is full, then try again.",
        )
    progress.next_disk()


def pull_disk(ctx: JobContext, guest: Guest, target: str, *, progress: Progress) -> None:
    """Copy all that is below the topmost file of the disk into it. The guest runs on; the files below stay.

    Raises:
        Cancelled, Conflict: the disk works as before.
    """
    if blockjob.info(guest, target) is None:
        if len(layers(guest, target)) == 1:
            return
        blockjob.pull(guest, target, bandwidth_bytes_per_s=progress.most_bytes_per_s)
    _follow(ctx, guest, target, progress, undoing=False)
    if not _until(lambda: len(layers(guest, target)) == 1):
        raise Conflict(
            f"Disk {target} of {guest.name} was not flattened: the copying ended early.",
            hint="Nothing is lost. Look whether its storage is full, then try again.",
        )
    progress.next_disk()


def _follow(ctx: JobContext, guest: Guest, target: str, progress: Progress, *, undoing: bool) -> None:
    """Watch the block job to its end."""
    for job in _readings(guest, target):
        progress.show(job)
        if job.kind is blockjob.BlockJobKind.ACTIVE_COMMIT and blockjob.is_ready(guest, target):
            _pivot(guest, target)
        elif not undoing:
            try:
                ctx.check()
            except Cancelled:
                ctx.phase(f"Cancelling the merge of {target}")
                _abort(guest, target)
                raise
        time.sleep(POLL_S)


def _readings(guest: Guest, target: str) -> Iterator[BlockJob]:
    while True:
        try:
            job = blockjob.info(guest, target)
        except InvalidState as error:
            raise Conflict(
                f"{guest.name} went off while its disk {target} was being merged.",
                hint="Nothing is lost: its disks are as they were. Start it and try again.",
                detail=error.detail,
            ) from error
        if job is None:
            return
        yield job


def _pivot(guest: Guest, target: str) -> None:
    try:
        blockjob.pivot(guest, target)
    except CallError:
        if blockjob.info(guest, target) is not None:
            raise


def _abort(guest: Guest, target: str) -> None:
    try:
        blockjob.abort(guest, target)
    except CallError:  # it has just ended by itself
        if blockjob.info(guest, target) is not None:
            raise


def _goes(guest: Guest, target: str, path: str) -> bool:
    """Whether the file leaves the disk's chain, now that the copying has ended."""
    return _until(lambda: path not in layers(guest, target))


def _until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + VANISHED_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True


def _disk(guest: Guest, target: str) -> Disk:
    for disk in guest.definition().disks:
        if disk.target == target:
            return disk
    raise Conflict(f"{guest.name} has no disk {target} any more.", hint="Ask for it anew.")
