"""Deleting a snapshot, and flattening disks.

An internal snapshot libvirt deletes. Of an external one libvirt merges the overlay into the image below while the guest
is off, where it can; while it runs, vmdash does so itself, since libvirt's own way cannot be watched, nor cancelled.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from domains.models import Domain
from domains.snapshots.models import Snapshot
from domains.snapshots.work.common import at_work, patiently, report_left
from domains.snapshots.work.files import Files, needed_by_snapshots, used_by_guests
from domains.snapshots.work.merging import Progress, layers, merge_disk, pull_disk
from domains.snapshots.work.taking import exists, is_busy
from vmdash.exceptions import Conflict
from vmdash.jobs.context import Cancelled, JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Outcome, Result
from vmdash.virt import blockjob
from vmdash.virt.errors import ArgumentRefused, CallError, CallUnsupported, GuestNotRunning, SnapshotNotFound
from vmdash.virt.snapshot import redefine, snapshot, snapshots
from vmdash.virt.xml.snapshot import SnapshotDefinition, SnapshotDisk, with_other_files

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest

MERGE, FORGET = "merge", "forget"


def run(ctx: JobContext) -> Result:
    name = ctx.parameters["snapshot"]
    with at_work(ctx) as (domain, connection, guest):
        try:
            definition = snapshot(guest, name).definition()
        except SnapshotNotFound:
            ctx.log("It was deleted already.")
            return {}
        delete(ctx, domain, connection, guest, definition, how=ctx.parameters["how"])
    return {}


def delete(
    ctx: JobContext,
    domain: Domain,
    connection: HostConnection,
    guest: Guest,
    definition: SnapshotDefinition,
    *,
    how: str,
) -> None:
    """Delete it with what it takes on the storage; `how` FORGET leaves every file as it is.

    Raises:
        Conflict: something else needs what a merge would destroy.
    """
    ctx.check()
    one, files = snapshot(guest, definition.name), Files(connection)
    if how == FORGET:
        one.delete(metadata_only=True)
    elif not definition.is_external:
        ctx.phase("Deleting it from the disk images")
        patiently(ctx, one.delete, domain=domain)
    elif guest.is_active():
        _merge_running(ctx, domain, guest, files, definition)
    else:
        _merge_off(ctx, domain, guest, files, definition)
    if how != FORGET and definition.memory_file:
        report_left(ctx, files.remove([definition.memory_file]))
    if how != FORGET:
        files.look_again(disk.overlay for disk in definition.external_disks)


def _merge_running(ctx: JobContext, domain: Domain, guest: Guest, files: Files, definition: SnapshotDefinition) -> None:
    pairs = _to_merge(guest, definition)
    for disk in pairs:
        _check_unused(domain, guest, files, definition, disk, layers(guest, disk.target))
    if pairs:
        _mark_half_merged(domain, definition)
        ctx.phase("Merging what was written since")
    progress = Progress(ctx)
    for disk in pairs:
        try:
            merge_disk(ctx, guest, disk.target, upper=disk.overlay, base=disk.base, progress=progress)
        except Cancelled:
            ctx.log("The guest goes on as before. The snapshot is half merged: it can only be deleted.")
            raise
    _finish(ctx, guest, files, definition)


def _to_merge(guest: Guest, definition: SnapshotDefinition) -> list[SnapshotDisk]:
    """The disks whose overlay is still on top of what the snapshot holds."""
    found = []
    for disk in definition.external_disks:
        chain = layers(guest, disk.target)
        if disk.overlay in chain and disk.base in chain:
            found.append(disk)
    return found


def _check_unused(
    domain: Domain, guest: Guest, files: Files, definition: SnapshotDefinition, disk: SnapshotDisk, chain: list[str]
) -> None:
    """That nothing else needs the two files: a merge changes the lower one, and the upper one goes.

    Raises:
        Conflict
    """
    expected = {disk.base: {disk.overlay}, disk.overlay: set(chain)}
    for path, known in expected.items():
        if others := sorted(files.above(path) - known):
            raise Conflict(
                f"{definition.name} of {guest.name} cannot be merged: {path} is also below {', '.join(others)}.",
                hint="Delete what stands on it first, or forget the snapshot and keep its files.",
            )
        if names := used_by_guests(path, besides=domain):
            raise Conflict(
                f"{definition.name} of {guest.name} cannot be merged: {path} is a disk of {', '.join(names)}.",
                hint="Forget the snapshot and keep its files.",
            )


def _finish(ctx: JobContext, guest: Guest, files: Files, definition: SnapshotDefinition) -> None:
    """Once its disks are merged: tell the other snapshots where their content is now, and forget this one. What a
    revert left on another branch goes too, as far as nothing needs it."""
    ctx.phase("Putting the tree of snapshots in order")
    disks = guest.definition(inactive=not guest.is_active()).disks
    in_use = {disk.source for disk in disks} | {image.source for disk in disks for image in disk.backing}
    gone = {disk.overlay: disk.base for disk in definition.external_disks if disk.overlay not in in_use}
    for other in snapshots(guest):
        if other.name != definition.name and (changed := with_other_files(other.xml(secure=True), gone)):
            redefine(guest, changed, current=other.is_current())
    if exists(guest, definition.name):
        snapshot(guest, definition.name).delete(metadata_only=True)
    needed = needed_by_snapshots(files, guest) | in_use
    unneeded = [disk.base for disk in definition.external_disks if disk.base not in needed]
    unneeded = [path for path in unneeded if not files.above(path) and not used_by_guests(path, besides=_row(ctx))]
    report_left(ctx, files.remove(unneeded))


def _merge_off(ctx: JobContext, domain: Domain, guest: Guest, files: Files, definition: SnapshotDefinition) -> None:
    """libvirt starts QEMU for it, paused, without letting the guest run."""
    sources = {disk.target: disk.source for disk in guest.definition(inactive=True).disks}
    pairs = [disk for disk in definition.external_disks if disk.overlay in files.chain(sources.get(disk.target, "/"))]
    if not pairs:
        _finish(ctx, guest, files, definition)
        return
    for disk in pairs:
        _check_unused(domain, guest, files, definition, disk, files.chain(sources[disk.target]))
    _mark_half_merged(domain, definition)
    ctx.phase("Merging what was written since; the guest stays off")
    try:
        patiently(ctx, snapshot(guest, definition.name).delete, domain=domain)
    except (CallUnsupported, ArgumentRefused) as error:
        _mark_half_merged(domain, definition, False)
        ctx.log(f"The libvirt of {guest.host} cannot do it while the guest is off, so QEMU is started for it, paused.")
        _merge_started(ctx, domain, guest, files, definition, detail=error.detail)


def _merge_started(
    ctx: JobContext, domain: Domain, guest: Guest, files: Files, definition: SnapshotDefinition, *, detail: str
) -> None:
    """For libvirt before 9.0, and 9.0 where other snapshots came after this one: as it would do it. QEMU runs, the
    guest does not; it ends with our connection, whatever happens to us."""
    if guest.has_managed_save():
        raise Conflict(
            f"Cannot delete snapshot {definition.name} of {guest.name} while it is off: it has a saved state, which "
            "starting QEMU would use up.",
            hint="Start the guest, or discard its saved state.",
            detail=detail,
        )
    guest.start(paused=True, autodestroy=True)
    try:
        _merge_running(ctx, domain, guest, files, definition)
    finally:
        with suppress(GuestNotRunning):
            guest.destroy()


def _mark_half_merged(domain: Domain, definition: SnapshotDefinition, value: bool = True) -> None:
    insist(lambda: Snapshot.objects.filter(domain=domain, name=definition.name).update(half_merged=value))


def _row(ctx: JobContext) -> Domain:
    return Domain(pk=ctx.job.target_id)


def reconcile(ctx: JobContext) -> Outcome:
    """Go on where it was interrupted, or put an end to it when that was asked for."""
    name = ctx.parameters["snapshot"]
    with at_work(ctx, checking=True) as (domain, connection, guest):
        ctx_cancelled = ctx.job.cancel_requested_at is not None
        try:
            definition = snapshot(guest, name).definition()
        except SnapshotNotFound:
            return Outcome(Job.State.SUCCEEDED, "It was interrupted, but the snapshot is deleted.")
        jobs = _block_jobs(guest, definition)
        if not guest.is_active() or not (jobs or _half_merged(domain, name)):
            return Outcome(Job.State.FAILED, "It was interrupted before the snapshot was deleted. Try again.")
        if ctx_cancelled:
            for target in jobs:
                blockjob.abort(guest, target)
            return Outcome(
                Job.State.CANCELLED, "The merge was cancelled. The guest goes on; the snapshot can only be deleted."
            )
        ctx.wait_until(lambda: not is_busy(guest), timeout_s=600)
        delete(ctx, domain, connection, guest, definition, how=ctx.parameters["how"])
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, then taken up again: the snapshot is deleted.")


def _half_merged(domain: Domain, name: str) -> bool:
    return Snapshot.objects.filter(domain=domain, name=name, half_merged=True).exists()


def _block_jobs(guest: Guest, definition: SnapshotDefinition) -> list[str]:
    """The disks that QEMU is merging now."""
    found = []
    for disk in definition.external_disks:
        try:
            if guest.is_active() and blockjob.info(guest, disk.target):
                found.append(disk.target)
        except CallError:  # the guest went off this moment, or has no such disk any more
            continue
    return found


def run_flatten(ctx: JobContext) -> Result:
    """Copy everything that is below the guest's disks into them."""
    with at_work(ctx) as (_, _connection, guest):
        flatten(ctx, guest)
    return {}


def flatten(ctx: JobContext, guest: Guest) -> None:
    ctx.check()
    if not guest.is_active():
        raise Conflict(f"Cannot flatten the disks of {guest.name}: it is off.", hint="Start it first.")
    ctx.phase("Copying what is below the disks into them")
    progress = Progress(ctx)
    for disk in guest.definition().disks:
        if disk.device == "disk" and disk.target in ctx.parameters["disks"]:
            pull_disk(ctx, guest, disk.target, progress=progress)


def reconcile_flatten(ctx: JobContext) -> Outcome:
    with at_work(ctx, checking=True) as (_, _connection, guest):
        targets = ctx.parameters["disks"]
        if not guest.is_active():
            return Outcome(
                Job.State.FAILED, "It was interrupted, and the guest is off. Nothing is lost; start it first."
            )
        at_it = [target for target in targets if blockjob.info(guest, target)]
        if ctx.job.cancel_requested_at:
            for target in at_it:
                blockjob.abort(guest, target)
            return Outcome(Job.State.CANCELLED, "The copying was cancelled. The guest goes on as before.")
        flatten(ctx, guest)
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, then taken up again: the disks stand alone.")
