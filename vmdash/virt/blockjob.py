"""Block jobs: what QEMU copies from one image of a running guest's disk to another while the guest goes on.

A *commit* moves what an overlay holds into the image below it, a *pull* the other way round. A job goes on in QEMU
whatever becomes of the client or of libvirtd. A commit of the topmost image (*active*) never ends by itself: once
it ``is_ready`` it mirrors every write, until ``pivot`` lets the guest go on in the lower image, or ``abort`` in the
upper one. Disks are named by their target (vda) or by a path of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import libvirt

from vmdash.virt import xml
from vmdash.virt.guest import Guest
from vmdash.virt.translation import translate


class BlockJobKind(StrEnum):
    """libvirt's virDomainBlockJobType."""

    UNKNOWN = "unknown"
    PULL = "pull"
    COPY = "copy"
    COMMIT = "commit"
    ACTIVE_COMMIT = "active_commit"
    BACKUP = "backup"


_KINDS = tuple(BlockJobKind)  # in the order of virDomainBlockJobType


@dataclass(frozen=True, slots=True)
class BlockJob:
    """How far it is. ``total_bytes`` may be 0 at the very beginning, and grows while the guest writes.

    ``bandwidth_bytes_per_s`` is its limit; 0: none.
    """

    kind: BlockJobKind
    done_bytes: int
    total_bytes: int
    bandwidth_bytes_per_s: int


def info(guest: Guest, disk: str) -> BlockJob | None:
    """The job on that disk; None when there is none (any more).

    Raises GuestNotRunning, ArgumentRefused (no such disk).
    """
    flags = libvirt.VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES
    with _translate("read the block job on", guest, disk):
        told = guest.raw.blockJobInfo(disk, flags)
    if not told:
        return None
    kind = told["type"]
    return BlockJob(
        _KINDS[kind] if kind < len(_KINDS) else BlockJobKind.UNKNOWN, told["cur"], told["end"], told["bandwidth"]
    )


def is_ready(guest: Guest, disk: str) -> bool:
    """Whether an active commit or a copy has caught up, so that ``pivot`` may follow. ``disk`` is its target here.

    Asked of the definition: equal numbers of bytes do not tell.
    """
    for one in xml.parse(guest.xml()).iterfind("./devices/disk"):
        target, mirror = one.find("./target"), one.find("./mirror")
        if target is not None and target.get("dev") == disk:
            return mirror is not None and mirror.get("ready") == "yes"
    return False


def commit(
    guest: Guest,
    disk: str,
    *,
    base: str = "",
    top: str = "",
    active: bool = False,
    delete: bool = False,
    bandwidth_bytes_per_s: int = 0,
) -> None:
    """Begin to move what is in ``top`` (a path; empty: the topmost) and below it down into ``base`` (empty: the
    lowest).

    ``active`` is needed for the topmost, and for no other. ``delete`` has libvirt delete the images that are not needed
    afterwards. Nothing else may use ``base`` or what is between: it is destroyed for them.

    Raises:
        GuestNotRunning, ResourceBusy (there is a job already), ArgumentRefused (not in the chain).
    """
    flags = (
        (libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE if active else 0)
        | (libvirt.VIR_DOMAIN_BLOCK_COMMIT_DELETE if delete else 0)
        | libvirt.VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES
    )
    with _translate("merge", guest, disk):
        guest.raw.blockCommit(disk, base or None, top or None, bandwidth_bytes_per_s, flags)


def pull(guest: Guest, disk: str, *, base: str = "", bandwidth_bytes_per_s: int = 0) -> None:
    """Begin to copy what is below the topmost image into it, down to but without ``base`` (a path; empty: everything).

    The images below stay as they are, and are not needed by this disk any more when it is through. It ends by itself.
    """
    with _translate("flatten", guest, disk):
        if base:
            flags = libvirt.VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES
            guest.raw.blockRebase(disk, base, bandwidth_bytes_per_s, flags)
        else:
            guest.raw.blockPull(disk, bandwidth_bytes_per_s, libvirt.VIR_DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES)


def set_bandwidth(guest: Guest, disk: str, bytes_per_s: int) -> None:
    """Change the limit of the job on that disk; 0: none."""
    with _translate("change the speed of the block job on", guest, disk):
        guest.raw.blockJobSetSpeed(disk, bytes_per_s, libvirt.VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)


def pivot(guest: Guest, disk: str) -> None:
    """End an active commit (or a copy) that ``is_ready``: the guest goes on in the image it was copied to."""
    with _translate("complete the merge of", guest, disk):
        guest.raw.blockJobAbort(disk, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)


def abort(guest: Guest, disk: str) -> None:
    """End a job; returns once it has ended. The guest goes on in the image it has: nothing is lost.

    What a commit has moved already stays in the lower image too; above it nobody sees a difference.
    """
    with _translate("cancel the block job on", guest, disk):
        guest.raw.blockJobAbort(disk, 0)


def _translate(verb: str, guest: Guest, disk: str) -> translate:
    return translate(f"{verb} disk {disk} of {guest.name}", guest.host)
