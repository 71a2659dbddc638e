"""What can be done with a guest's snapshots now, and why not. Asks no host: pages and services need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.actions import host_obstacle
from domains.models import Domain, DomainState
from domains.snapshots.models import Snapshot, SnapshotKind
from hosts.models import Driver
from vmdash.access.roles import Permission, can

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

CAN_SNAPSHOT = frozenset({Driver.QEMU, Driver.TEST})
_RUNNING = frozenset({DomainState.RUNNING, DomainState.IDLE, DomainState.PAUSED, DomainState.PMSUSPENDED})
_OFF = frozenset({DomainState.SHUT_OFF, DomainState.CRASHED})

_SILENCE = {
    Domain.Agent.NONE: "The guest has no channel for a guest agent.",
    Domain.Agent.DISCONNECTED: "The guest agent does not run in the guest.",
    Domain.Agent.SILENT: "The guest agent does not answer.",
    Domain.Agent.CONNECTED: "",
}


def own_disks(domain: Domain) -> list[dict[str, str]]:
    """The disks that the guest writes to: what snapshots hold."""
    return [disk for disk in domain.disks if disk["device"] == "disk" and not disk["readonly"] and disk["source"]]


def why_not(domain: Domain, user: User | AnonymousUser) -> str:
    """Why `user` can change nothing about the guest's snapshots now; empty when that is possible."""
    if not can(user, Permission.SNAPSHOT, domain):
        return f"You may not {Permission.SNAPSHOT.label}."
    return obstacle(domain)


def obstacle(domain: Domain) -> str:
    """What is in the way whoever asks."""
    if reason := host_obstacle(domain.host):
        return reason
    if domain.host.driver not in CAN_SNAPSHOT:
        return f"Hosts with the driver {domain.host.get_driver_display()} do not offer snapshots."
    if domain.split_brain:
        return "It is active on two hosts at once. Force it off on one of them first."
    if domain.state not in _RUNNING | _OFF:
        return "It is between two states. Try again in a moment."
    return ""


def why_not_take(domain: Domain, kind: SnapshotKind) -> str:
    """Why no snapshot of that kind can be taken now; empty when it can. `obstacle` comes first."""
    is_test = domain.host.driver == Driver.TEST
    disks = own_disks(domain)
    if is_test:
        return "" if kind == SnapshotKind.INTERNAL else "libvirt's test driver has no overlays."
    if not disks and kind != SnapshotKind.INTERNAL:
        return "It has no disk to write to."
    if kind == SnapshotKind.INTERNAL:
        raw = [disk["target"] for disk in disks if disk["format"] != "qcow2"]
        return f"Only qcow2 images can hold it: {', '.join(raw)} is another format." if raw else ""
    if kind == SnapshotKind.FILES and domain.state in _OFF:
        return "It is off: it has no memory to keep. Choose “disks only”."
    odd = [disk["target"] for disk in disks if not disk["source"].startswith("/") or disk["source"].startswith("/dev/")]
    if odd:
        return f"{', '.join(odd)} is no file: there is no folder for an overlay beside it."
    return ""


def kinds(domain: Domain) -> dict[SnapshotKind, str]:
    """Each kind, with the reason where it cannot be taken now."""
    return {kind: why_not_take(domain, kind) for kind in SnapshotKind}


def why_not_revert(domain: Domain, snapshot: Snapshot) -> str:
    """Why the guest cannot be put back to it; empty when it can. `obstacle` comes first."""
    if snapshot.half_merged:
        return "It is half merged: it holds a mixture of then and later. It can only be deleted."
    if snapshot.external and not domain.persistent:
        return "The guest is transient: its host keeps no definition of it whose disks could be put back."
    if snapshot.external and snapshot.internal:
        return "Part of it is inside of the disk images and part of it outside: libvirt cannot put that back."
    ours = {disk["target"] for disk in own_disks(domain)}
    if missing := sorted(disk["target"] for disk in snapshot.disks if disk["target"] not in ours):
        return f"The guest has no disk {', '.join(missing)} any more." if domain.host.driver != Driver.TEST else ""
    return ""


def why_not_quiesce(domain: Domain) -> str:
    """Why the guest's file systems cannot be frozen for a snapshot of its disks; empty when its agent answers."""
    if is_off(domain):
        return "The guest is off: its file systems are at rest."
    if domain.state != DomainState.PAUSED:
        return _SILENCE[Domain.Agent(domain.agent)]
    return "The guest is paused: its agent cannot answer."


def why_not_flatten(domain: Domain) -> str:
    """Why nothing that is below its disks can be copied into them. `obstacle` comes first."""
    if is_off(domain):
        return "It is off. Start it first."
    if not any(disk.get("backing") for disk in own_disks(domain)):
        return "Its disks stand alone already."
    return ""


def is_off(domain: Domain) -> bool:
    return domain.state in _OFF
