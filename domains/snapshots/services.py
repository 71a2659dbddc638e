"""Asking for snapshots to be taken, reverted to and deleted. What is asked for becomes a job; a worker does it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from domains.actions import cannot
from domains.models import Domain
from domains.permitted import check_permitted
from domains.snapshots import choices, naming, virsh
from domains.snapshots.kinds import CREATE, DELETE, FLATTEN, REVERT
from domains.snapshots.models import Snapshot, SnapshotKind
from hosts.maintenance import maintenance_obstacle
from vmdash.access.models import User
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, InvalidInput
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind

AS_IT_WAS, RUNNING, PAUSED, OFF = "as_it_was", "running", "paused", "off"
AFTERWARDS = {
    AS_IT_WAS: "as it was when the snapshot was taken",
    RUNNING: "running",
    PAUSED: "paused",
    OFF: "off",
}


class ConfirmationNeeded(InvalidInput):
    """Something is lost by it, and the guest's name was not typed as it is."""


def take(*, domain: Domain, user: User | None, kind: SnapshotKind, note: str = "", quiesce: bool = True) -> Job:
    """Have a snapshot taken of a guest that `user` may see; None: vmdash itself, by a schedule.

    Raises:
        NotPermitted: `user` may not. Conflict: it is not possible now, and why; JobInTheWay.
    """
    label = f"Take a snapshot of {domain.name}"
    _check(domain, user, CREATE, label, choices.why_not_take(domain, kind))
    parameters = _plan(domain, kind, note, quiesce=quiesce, at=timezone.now())
    command = virsh.create(
        domain, kind, parameters["name"], parameters["disks"], parameters["memory_file"], quiesce=parameters["quiesce"]
    )
    return _request(CREATE, domain, user, label=label, parameters=parameters, virsh=command)


def _plan(domain: Domain, kind: SnapshotKind, note: str, *, quiesce: bool, at: datetime) -> dict[str, Any]:
    """The parameters of a job that takes it: every name stands in them before anything is made."""
    name = _free_name(domain, naming.snapshot_name(domain.name, note, at))
    disks = choices.own_disks(domain)
    external = kind != SnapshotKind.INTERNAL
    return {
        "name": name,
        "note": note[:500],
        "kind": str(kind),
        "quiesce": bool(quiesce and kind == SnapshotKind.DISKS and not choices.is_off(domain)),
        "disks": {
            disk["target"]: naming.overlay_path(domain.name, name, disk["target"], disk["source"]) if external else ""
            for disk in disks
        },
        "memory_file": naming.memory_path(domain.name, name, disks[0]["source"]) if kind == SnapshotKind.FILES else "",
    }


def _free_name(domain: Domain, wanted: str) -> str:
    taken = set(domain.snapshots.filter(name__startswith=wanted).values_list("name", flat=True))
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(name for name in numbered if name not in taken)


def revert(
    *,
    domain: Domain,
    snapshot: Snapshot,
    user: User,
    confirm: str,
    afterwards: str = AS_IT_WAS,
    keep: bool = False,
    first: bool = False,
) -> Job:
    """Have the guest put back to a snapshot of its own.

    `afterwards` is one of `AFTERWARDS`. `keep`: the overlays with what was written since stay as files. `first`: what
    it is now is kept as a snapshot before.

    Raises:
        ConfirmationNeeded: `confirm` is not the guest's name. InvalidInput, NotPermitted, Conflict: as for `take`.
    """
    label = f"Revert {domain.name} to {snapshot.name}"
    _check(domain, user, REVERT, label, choices.why_not_revert(domain, snapshot))
    if afterwards not in AFTERWARDS:
        raise InvalidInput(f"A guest cannot be {afterwards[:20]!r} afterwards.", hint=f"Write {', '.join(AFTERWARDS)}.")
    if confirm != domain.name:
        raise ConfirmationNeeded(
            f"To revert {domain.name}, type its name.", hint="What it has written since the snapshot is lost."
        )
    now, running = timezone.now(), _running_afterwards(snapshot, afterwards)
    if running and choices.is_off(domain) and (reason := maintenance_obstacle(domain.host)):
        raise Conflict(cannot(label, f"It would run afterwards, and its host {reason}"))
    overlays = _fresh_overlays(domain, snapshot, now) if snapshot.external else {}
    parameters = {
        "snapshot": snapshot.name,
        "running": running,
        "keep": keep,
        "first": _plan(domain, _first_kind(domain, snapshot), "before-revert", quiesce=True, at=now) if first else None,
        "overlays": overlays,
        "old": {disk["target"]: disk["source"] for disk in domain.disks if disk["target"] in overlays},
        "was_off": choices.is_off(domain),
        "was_current": snapshot.current,
    }
    command = virsh.revert(domain, snapshot, running=running)
    return _request(REVERT, domain, user, label=label, parameters=parameters, virsh=command)


def _fresh_overlays(domain: Domain, snapshot: Snapshot, at: datetime) -> dict[str, str]:
    """New files for what is written after the revert, by target. Files that the guest has already are left alone."""
    in_use = {disk["source"] for disk in domain.disks}
    while True:
        found = {
            disk["target"]: naming.fresh_path(domain.name, snapshot.name, disk["target"], disk["base"], at)
            for disk in snapshot.disks
            if disk["place"] == "external"
        }
        if not in_use & set(found.values()):
            return found
        at += timedelta(seconds=1)


def _first_kind(domain: Domain, snapshot: Snapshot) -> SnapshotKind:
    """Of the same sort: an overlay on top would hide internal ones, which are then out of libvirt's reach."""
    return SnapshotKind.DISKS if snapshot.external else SnapshotKind.INTERNAL


def _running_afterwards(snapshot: Snapshot, afterwards: str) -> bool | None:
    """What libvirt is asked for; None leaves it as it was taken, or off where there is no memory."""
    match afterwards:
        case "running":
            return True
        case "paused":
            return False
        case "as_it_was" if snapshot.external and not snapshot.memory:
            return True if snapshot.guest_state in ("disk-snapshot", "running") else None
        case _:
            return None


def delete(
    *, domain: Domain, snapshot: Snapshot, user: User | None, forget: bool = False, most_bytes_per_s: int = 0
) -> Job:
    """Have a snapshot deleted. What came after it stays; its overlays are merged into what is below them, while the
    guest runs no faster than `most_bytes_per_s` (0: as fast as it can). With `forget` libvirt forgets it, and no file
    is touched.

    Raises:
        NotPermitted, Conflict: as for `take`.
    """
    label = f"{'Forget' if forget else 'Delete'} snapshot {snapshot.name}"
    _check(domain, user, DELETE, label, "")
    how = "forget" if forget else "merge"
    parameters = {"snapshot": snapshot.name, "how": how, "most_bytes_per_s": most_bytes_per_s}
    command = virsh.delete(domain, snapshot, metadata_only=forget)
    return _request(DELETE, domain, user, label=label, parameters=parameters, virsh=command)


def flatten(*, domain: Domain, user: User, most_bytes_per_s: int = 0) -> Job:
    """Have all that is below the guest's disks copied into them, so that they stand alone. It must be running.

    Raises:
        NotPermitted, Conflict: as for `take`.
    """
    label = f"Flatten the disks of {domain.name}"
    _check(domain, user, FLATTEN, label, "It is off. Start it first." if choices.is_off(domain) else "")
    targets = [disk["target"] for disk in choices.own_disks(domain)]
    command = virsh.flatten(domain, targets)
    return _request(
        FLATTEN,
        domain,
        user,
        label=label,
        parameters={"disks": targets, "most_bytes_per_s": most_bytes_per_s},
        virsh=command,
    )


def _check(domain: Domain, user: User | None, kind: Kind, label: str, reason: str) -> None:
    if user:
        check_permitted(user, Permission.SNAPSHOT, domain, kind.name)
    if reason := choices.obstacle(domain) or reason:
        raise Conflict(cannot(label, reason))


def _request(
    kind: Kind, domain: Domain, user: User | None, *, label: str, parameters: dict[str, Any], virsh: str
) -> Job:
    target = jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name)
    return jobs.create(kind=kind, user=user, target=target, label=label, parameters=parameters, virsh=virsh)
