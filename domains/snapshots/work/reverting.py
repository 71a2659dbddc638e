"""Putting a guest back to a snapshot.

libvirt does it for internal ones. External ones vmdash puts back itself: libvirt can since 9.9 only, and then chooses
which overlays go. The guest is stopped, its disks are made of what the snapshot holds, with fresh overlays on top, so
that the snapshot can be reverted to again; then the guest boots, or goes on with the snapshot's memory. What was
written since is deleted, except for what other snapshots need, or when it is to be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from domains.models import Domain
from domains.snapshots.models import Snapshot
from domains.snapshots.work.common import at_work, patiently, report_left
from domains.snapshots.work.files import Files, needed_by_snapshots, used_by_guests
from domains.snapshots.work.taking import Plan, is_busy, take
from vmdash.exceptions import Conflict
from vmdash.jobs.context import JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Outcome, Result
from vmdash.virt.errors import CallError
from vmdash.virt.snapshot import create, redefine, resume_from, snapshot, snapshots
from vmdash.virt.xml.disks import with_files, with_images_of
from vmdash.virt.xml.snapshot import DiskSpec, Place, SnapshotSpec, domain_of, with_overlays

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.snapshot import Snapshot as LiveSnapshot


_TAKEN_UP = "It was interrupted, then taken up again: the guest is back at {}."


def run(ctx: JobContext) -> Result:
    with at_work(ctx) as (domain, connection, guest):
        one = snapshot(guest, ctx.parameters["snapshot"])
        if ctx.parameters["first"]:
            _take_first(ctx, domain, connection, guest)
        if ctx.parameters["overlays"]:
            ctx.check()
            _revert_external(ctx, domain, connection, guest, one)
        else:
            ctx.check()
            ctx.phase("Putting disks and memory back")
            running = ctx.parameters["running"]
            patiently(ctx, lambda: one.revert(running=running, force=True), domain=domain)
    return {}


def _take_first(ctx: JobContext, domain: Domain, connection: HostConnection, guest: Guest) -> None:
    plan = Plan.of(ctx.parameters["first"])
    quiesced, why_not = take(ctx, domain, connection, guest, plan)
    ctx.log(f"What it was until now is kept as snapshot {plan.name}.")
    row = {"quiesced": quiesced, "not_quiesced_because": why_not[:300]}
    insist(lambda: Snapshot.objects.update_or_create(domain=domain, name=plan.name, defaults=row))


def _revert_external(
    ctx: JobContext, domain: Domain, connection: HostConnection, guest: Guest, one: LiveSnapshot
) -> None:
    """May be begun anew at any point: it looks at what is true first."""
    fresh: Mapping[str, str] = ctx.parameters["overlays"]
    files, then = Files(connection), domain_of(one.xml(secure=True))
    sources = _sources(guest)
    if not fresh.items() <= sources.items():
        if guest.is_active():
            ctx.phase("Stopping the guest")
            guest.destroy()
        if guest.has_managed_save():
            guest.managed_save_remove()
        if not _are_as_expected(ctx, sources) and not _are_bases(one, sources):
            raise Conflict(f"The disks of {guest.name} have changed since this was asked for.", hint="Ask for it anew.")
        ctx.phase("Putting the disks back")
        files.remove(path for path in fresh.values() if path not in sources.values())  # of an earlier attempt
        connection.define(with_images_of(guest.xml(secure=True, inactive=True), then, list(fresh)))
        disks = [
            DiskSpec(disk.target, Place.EXTERNAL, fresh[disk.target])
            if disk.target in fresh
            else DiskSpec(disk.target, Place.NONE)
            for disk in guest.definition(inactive=True).disks
        ]
        create(guest, SnapshotSpec(f"{one.name}-since", tuple(disks)), disks_only=True, metadata=False)
    files.look_again(fresh.values())
    _correct_overlays(guest, files, current=one.name)
    _start(ctx, guest, one, fresh)
    _clean_up(ctx, domain, guest, files)


def _sources(guest: Guest) -> dict[str, str]:
    """What its disks are made of, by target: of its next start."""
    return {disk.target: disk.source for disk in guest.definition(inactive=True).disks}


def _are_as_expected(ctx: JobContext, sources: Mapping[str, str]) -> bool:
    """Whether they are what they were when this was asked for, or what the snapshot taken first put on top."""
    old, first = ctx.parameters["old"], (ctx.parameters["first"] or {}).get("disks", {})
    return all(sources.get(target) in (path, first.get(target)) for target, path in old.items())


def _are_bases(one: LiveSnapshot, sources: Mapping[str, str]) -> bool:
    """Whether an earlier attempt got as far as pointing the disks at what the snapshot holds."""
    return all(sources.get(disk.target) == disk.base for disk in one.definition().external_disks)


def _correct_overlays(guest: Guest, files: Files, *, current: str) -> None:
    """Have libvirt know what is now on top of what each snapshot holds: deleting one merges that."""
    chains = {target: files.chain(path) for target, path in _sources(guest).items() if path.startswith("/")}
    for one in snapshots(guest):
        overlays = {}
        for disk in one.definition().external_disks:
            chain = chains.get(disk.target, [])
            if disk.base in chain[1:]:
                overlays[disk.target] = chain[chain.index(disk.base) - 1]
        if overlays or one.name == current:
            redefine(guest, with_overlays(one.xml(secure=True), overlays), current=one.name == current)


def _start(ctx: JobContext, guest: Guest, one: LiveSnapshot, fresh: Mapping[str, str]) -> None:
    definition, running = one.definition(), ctx.parameters["running"]
    if guest.is_active():
        return
    if definition.memory is Place.EXTERNAL:
        ctx.phase("Reading the memory back")
        then = with_files(domain_of(one.xml(secure=True)), fresh)
        resume_from(guest, definition.memory_file, then, running=running is not False)
    elif running is not None:
        ctx.phase("Starting the guest")
        guest.start(paused=not running)


def _clean_up(ctx: JobContext, domain: Domain, guest: Guest, files: Files) -> None:
    """Delete what was written since the snapshot, from the top down to what something needs."""
    if ctx.parameters["keep"]:
        ctx.log(f"Kept: {', '.join(ctx.parameters['old'].values())}")
        return
    needed = needed_by_snapshots(files, guest)
    for source in _sources(guest).values():
        needed.update(files.chain(source) if source.startswith("/") else ())
    first = list((ctx.parameters["first"] or {}).get("disks", {}).values())
    for path in [*filter(None, first), *ctx.parameters["old"].values()]:
        for one in files.chain(path):
            if one in needed or files.above(one) or used_by_guests(one, besides=domain):
                break
            try:
                report_left(ctx, files.remove([one]))
            except CallError as error:
                ctx.log(f"{one} is not needed any more, but stays: {error.message}")
                break


def reconcile(ctx: JobContext) -> Outcome:
    name, fresh = ctx.parameters["snapshot"], ctx.parameters["overlays"]
    with at_work(ctx, checking=True) as (domain, connection, guest):
        ctx.wait_until(lambda: not is_busy(guest), timeout_s=600)
        one = snapshot(guest, name)
        if not fresh:
            return _reconcile_internal(ctx, domain, guest, one)
        begun = fresh.items() <= _sources(guest).items() or not guest.is_active()
        if not begun or (ctx.parameters["was_off"] and _are_as_expected(ctx, _sources(guest))):
            return Outcome(Job.State.FAILED, "It was interrupted before anything was put back. Try again.")
        _revert_external(ctx, domain, connection, guest, one)
    return Outcome(Job.State.SUCCEEDED, _TAKEN_UP.format(name))


def _reconcile_internal(ctx: JobContext, domain: Domain, guest: Guest, one: LiveSnapshot) -> Outcome:
    running = ctx.parameters["running"]
    goes_on = running or (running is None and one.definition().memory is not Place.NONE)
    if goes_on and not ctx.parameters["was_off"] and not guest.is_active():
        # Between stopping the guest and starting it with the snapshot's memory.
        ctx.phase("Putting disks and memory back once more")
        patiently(ctx, lambda: one.revert(running=running, force=True), domain=domain)
        return Outcome(Job.State.SUCCEEDED, _TAKEN_UP.format(one.name))
    if one.is_current() and not ctx.parameters["was_current"]:
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but the guest is back at {one.name}.")
    if not one.is_current():
        return Outcome(Job.State.FAILED, "It was interrupted before anything was put back. Try again.")
    return Outcome(Job.State.RECONCILED, f"It was interrupted: the guest stems from {one.name}, as it did before.")
