"""Taking a snapshot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domains.models import Domain
from domains.snapshots.models import Snapshot, SnapshotKind
from domains.snapshots.work.common import at_work, patiently
from domains.snapshots.work.files import Files
from domains.snapshots.work.merging import merge_disk
from vmdash.exceptions import Conflict
from vmdash.jobs.context import Cancelled, JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Outcome, Result
from vmdash.virt.errors import CallError, SnapshotNotFound
from vmdash.virt.snapshot import create, snapshot
from vmdash.virt.xml.snapshot import DiskSpec, Place, SnapshotSpec

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.xml.domain import DomainDefinition


@dataclass(frozen=True, slots=True)
class Plan:
    """A snapshot to be taken, as it stands in a job's parameters. `disks` are those it holds, by target, with their
    overlay (empty for internal ones)."""

    name: str
    note: str
    kind: SnapshotKind
    quiesce: bool
    disks: Mapping[str, str]
    memory_file: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Plan:
        return cls(
            name=parameters["name"],
            note=parameters["note"],
            kind=SnapshotKind(parameters["kind"]),
            quiesce=parameters["quiesce"],
            disks=parameters["disks"],
            memory_file=parameters["memory_file"],
        )

    @property
    def overlays(self) -> list[str]:
        return [path for path in self.disks.values() if path]

    def spec(self, definition: DomainDefinition, *, active: bool) -> SnapshotSpec:
        place = Place.INTERNAL if self.kind == SnapshotKind.INTERNAL else Place.EXTERNAL
        memory = Place.NONE if not active or self.kind == SnapshotKind.DISKS else place
        return SnapshotSpec(
            name=self.name,
            description=self.note,
            memory=memory,
            memory_file=self.memory_file if memory is Place.EXTERNAL else "",
            disks=tuple(
                DiskSpec(disk.target, place, self.disks[disk.target])
                if disk.target in self.disks
                else DiskSpec(disk.target, Place.NONE)
                for disk in definition.disks
            ),
        )


def run(ctx: JobContext) -> Result:
    plan = Plan.of(ctx.parameters)
    with at_work(ctx) as (domain, connection, guest):
        quiesced, why_not = take(ctx, domain, connection, guest, plan)
    insist(
        lambda: Snapshot.objects.filter(domain=domain, name=plan.name).update(
            quiesced=quiesced, not_quiesced_because=why_not[:300]
        )
    )
    return {"snapshot": plan.name, "quiesced": quiesced}


def take(
    ctx: JobContext, domain: Domain, connection: HostConnection, guest: Guest, plan: Plan
) -> tuple[bool | None, str]:
    """Take it. Returns whether the guest's file systems were frozen, and else why not; (None, "") where that says
    nothing: the guest is off, or its memory is in the snapshot."""
    ctx.check()
    active = guest.is_active()
    definition = guest.definition(inactive=not active)
    if missing := plan.disks.keys() - {disk.target for disk in definition.disks}:
        raise Conflict(
            f"Cannot take a snapshot of {guest.name}: it has no disk {', '.join(sorted(missing))} any more.",
            hint="Ask for it anew.",
        )
    spec = plan.spec(definition, active=active)
    if active and spec.memory is not Place.NONE:
        _with_memory(ctx, domain, connection, guest, plan, spec)
        return None, ""
    ctx.phase("Taking the snapshot")
    if not active or plan.kind == SnapshotKind.INTERNAL:
        create(guest, spec, disks_only=plan.kind != SnapshotKind.INTERNAL)
        return None, ""
    return _of_running_disks(ctx, guest, spec, quiesce=plan.quiesce)


def _of_running_disks(ctx: JobContext, guest: Guest, spec: SnapshotSpec, *, quiesce: bool) -> tuple[bool, str]:
    why_not = _why_not_quiesced(guest) if quiesce else "It was not asked for."
    if not why_not:
        began = time.monotonic()
        try:
            create(guest, spec, disks_only=True, quiesce=True)
        except CallError as error:
            why_not = f"The guest agent could not freeze the file systems. {error.message}"
        else:
            frozen_ms = round(1000 * (time.monotonic() - began))
            ctx.log(f"The guest agent froze the file systems meanwhile, for at most {frozen_ms} ms.")
            return True, ""
    create(guest, spec, disks_only=True)
    ctx.log(f"The file systems were not frozen: {why_not[:1].lower()}{why_not[1:]} They are as after a power failure.")
    return False, why_not


def _why_not_quiesced(guest: Guest) -> str:
    connected = guest.definition().agent_connected
    if connected is None:
        return "The guest has no channel for a guest agent."
    return "" if connected else "The guest agent does not run in the guest."


def _with_memory(
    ctx: JobContext, domain: Domain, connection: HostConnection, guest: Guest, plan: Plan, spec: SnapshotSpec
) -> None:
    internal = plan.kind == SnapshotKind.INTERNAL
    ctx.phase("Writing the memory; the guest is paused" if internal else "Writing the memory; the guest runs on")
    try:
        patiently(ctx, lambda: create(guest, spec, live=not internal), domain=domain, abort=True)
    except Cancelled:
        undo(ctx, domain, connection, guest, plan)
        raise


def reconcile(ctx: JobContext) -> Outcome:
    plan = Plan.of(ctx.parameters)
    with at_work(ctx, checking=True) as (domain, connection, guest):
        ctx.wait_until(lambda: not is_busy(guest), timeout_s=600)
        if exists(guest, plan.name):
            if not ctx.job.cancel_requested_at:
                return Outcome(Job.State.SUCCEEDED, "It was interrupted, but the snapshot was taken.")
            undo(ctx, domain, connection, guest, plan)
            return Outcome(Job.State.CANCELLED, "It was cancelled: the snapshot was deleted again.")
        undo(ctx, domain, connection, guest, plan)
    return Outcome(
        Job.State.FAILED, "It was interrupted before the snapshot was taken. Nothing is left of it; try again."
    )


def exists(guest: Guest, name: str) -> bool:
    try:
        snapshot(guest, name)
    except SnapshotNotFound:
        return False
    return True


def is_busy(guest: Guest) -> bool:
    """Whether libvirt is still at it, on behalf of a client that is gone."""
    try:
        return guest.is_active() and guest.job() is not None
    except CallError:  # this driver has no such jobs
        return False


def undo(ctx: JobContext, domain: Domain, connection: HostConnection, guest: Guest, plan: Plan) -> None:
    """Leave nothing of it: neither snapshot nor overlays nor file. The guest goes on with what it has written since."""
    ctx.phase("Undoing what was done")
    files = Files(connection)
    if guest.is_active():
        for disk in guest.definition().disks:
            if disk.source and disk.source == plan.disks.get(disk.target) and disk.backing:
                merge_disk(ctx, guest, disk.target, upper=disk.source, base=disk.backing[0].source, undoing=True)
    elif plan.overlays and exists(guest, plan.name):
        snapshot(guest, plan.name).delete()
    if exists(guest, plan.name):
        snapshot(guest, plan.name).delete(metadata_only=plan.kind != SnapshotKind.INTERNAL)
    in_use = {disk.source for disk in guest.definition(inactive=True).disks}
    files.remove(path for path in (*plan.overlays, plan.memory_file) if path and path not in in_use)
