"""The source of clones in a worker: its definition, its volumes, and how a running one is kept still.

A running guest goes on in overlays beside its disks while these are copied; afterwards the overlays are merged back
into the disks and deleted. Which overlays there are stands in the job's parameters before they are made, and `release`
can be called at any time and any number of times: it looks where the guest is, and brings it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from domains.cloning.plan import Fate, fate_of
from domains.models import Domain
from hosts.connect import connected
from hosts.models import Host
from vmdash.exceptions import Conflict, VmdashError
from vmdash.jobs.context import STOPPING, Cancelled, JobContext, OutcomeUnknown
from vmdash.virt.errors import (
    AgentUnresponsive,
    ArgumentRefused,
    CallError,
    CallUnsupported,
    GuestNotFound,
    HostError,
    VolumeNotFound,
)
from vmdash.virt.xml.domain import DomainDefinition
from vmdash.virt.xml.snapshot import DiskSpec, Place, SnapshotSpec
from vmdash.virt.xml.volume import VolumeDefinition

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.volume import Volume
    from vmdash.virt.xml.domain import Disk

FROZEN = "frozen"
"""The job's parameter: `{target: {"base", "overlay"}}`, paths on the source's host."""
POLL_S = 0.2
ATTEMPTS, PAUSE_S = 4, 2
"""To merge the overlays back: what is in the way, such as somebody who reads the disk, may go."""


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """A disk that the clones get one of their own of, as it is while they are made."""

    target: str
    path: str
    pool: str
    volume: VolumeDefinition


@dataclass(frozen=True, slots=True)
class Source:
    """`xml` has the secrets; it never leaves the worker."""

    host: Host
    xml: str
    disks: Sequence[SourceDisk]


def read(host: Host, uuid: str, frozen: Mapping[str, Mapping[str, str]]) -> Source:
    """The source as its host has it now. Where it is kept still, its disks are those below the overlays.

    Raises:
        Conflict: one of its disks cannot be copied. VirtError.
    """
    with connected(host) as connection:
        guest = connection.guest(uuid)
        xml = guest.xml(secure=True, inactive=True)
        disks = []
        for disk in DomainDefinition.parse(xml).disks:
            fate, why = fate_of(disk)
            if fate is Fate.REFUSE:
                raise Conflict(f"Cannot clone {guest.name}: its disk {disk.target} {why}.")
            if fate is Fate.COPY:
                base = frozen.get(disk.target, {}).get("base", "")
                disks.append(_disk(connection, guest.name, disk, base))
        return Source(host, xml, disks)


def _disk(connection: HostConnection, guest: str, disk: Disk, base: str) -> SourceDisk:
    volume = volume_of(connection, disk, base)
    if volume is None:
        raise Conflict(
            f"Cannot clone {guest}: its disk {disk.target} ({base or disk.source}) is in no active storage pool of "
            f"{connection.name}.",
            hint="Define a pool for that place, or start or refresh the one there is.",
        )
    definition = volume.definition()
    if definition.encrypted:
        raise Conflict(f"Cannot clone {guest}: its disk {disk.target} is encrypted: a copy would need its secret.")
    return SourceDisk(disk.target, definition.path, volume.pool_name, definition)


def volume_of(connection: HostConnection, disk: Disk, path: str = "") -> Volume | None:
    """The volume that the disk is, or the one at `path`; None when no active pool has it."""
    if not path and disk.type == "volume":
        pool, _, name = disk.source.partition("/")
        return connection.pool(pool).volume(name)
    return find_volume(connection, path or disk.source)


def find_volume(connection: HostConnection, path: str) -> Volume | None:
    """The volume at that path. A pool that has not noticed a new file is made to look."""
    with contextlib.suppress(VolumeNotFound):
        return connection.volume_at(path)
    folder = str(PurePosixPath(path).parent)
    for pool in connection.pools():
        if pool.facts().target_path.rstrip("/") == folder:
            pool.refresh()
            with contextlib.suppress(VolumeNotFound):
                return connection.volume_at(path)
    return None


@contextmanager
def kept_still(ctx: JobContext, domain: Domain) -> Iterator[None]:
    """Nobody writes to the source's disks inside. One that runs goes on in overlays until the end.

    Raises:
        Conflict, VirtError: it cannot be; nothing has changed.
    """
    with connected(domain.host) as connection:
        guest = connection.guest(str(domain.uuid))
        if guest.has_managed_save():
            raise Conflict(
                f"Cannot clone {guest.name}: it has a saved state, so its disks are as in the middle of its work.",
                hint="Restore it, or discard the saved state.",
            )
        is_active = guest.is_active()
        if is_active and domain.is_template:
            raise Conflict(f"Cannot clone {guest.name}: it is a template, and runs.", hint="Shut it down on its host.")
        if is_active:
            _put_on_overlays(ctx, connection, guest)
    try:
        yield
    except (Cancelled, VmdashError):  # what is interrupted otherwise is left to `reconcile`, which finds it as it is
        release(ctx, domain.host, str(domain.uuid))
        raise
    release(ctx, domain.host, str(domain.uuid))


def _put_on_overlays(ctx: JobContext, connection: HostConnection, guest: Guest) -> None:
    definition = guest.definition()
    mark = ctx.job.pk.hex[:8]
    frozen: dict[str, dict[str, str]] = {}
    specs = []
    for disk in definition.disks:
        fate, why = fate_of(disk)
        if fate is Fate.REFUSE:
            raise Conflict(f"Cannot clone {guest.name}: its disk {disk.target} {why}.")
        if fate is not Fate.COPY:
            specs.append(DiskSpec(disk.target, Place.NONE))
            continue
        volume = volume_of(connection, disk)
        if volume is None or volume.definition().kind != "file":
            raise Conflict(
                f"Cannot clone {guest.name} while it runs: its disk {disk.target} is no file in a storage pool, so "
                "what it writes meanwhile would have no place.",
                hint="Shut it down first.",
            )
        base = volume.path()
        overlay = str(PurePosixPath(base).with_name(f"{guest.name}-{disk.target}.cloning-{mark}.qcow2"))
        frozen[disk.target] = {"base": base, "overlay": overlay}
        specs.append(DiskSpec(disk.target, Place.EXTERNAL, overlay))
    if frozen:
        ctx.note(**{FROZEN: frozen})
        _snapshot(ctx, guest, definition, SnapshotSpec(f"cloning-{mark}", tuple(specs)))


def _snapshot(ctx: JobContext, guest: Guest, definition: DomainDefinition, spec: SnapshotSpec) -> None:
    from vmdash.virt import snapshot

    try:
        if definition.agent_connected and guest.status().state == "running":
            try:
                snapshot.create(guest, spec, disks_only=True, metadata=False, quiesce=True)
                ctx.log(f"The guest agent of {guest.name} froze its file systems for that moment")
                return
            except (AgentUnresponsive, ArgumentRefused, CallUnsupported) as error:
                ctx.log(error.message)
        snapshot.create(guest, spec, disks_only=True, metadata=False)
    except HostError as error:
        raise OutcomeUnknown(error.message) from error
    ctx.log("Its file systems could not be frozen: the clone finds its disks as after a power failure")


def release(ctx: JobContext, host: Host, uuid: str) -> None:
    """Bring the source back from the overlays that this job put it on, and delete these. Does not heed a cancelling.

    Raises:
        HostError: the host cannot be asked now. Interrupted. CallError: it failed; the overlay keeps what was written.
    """
    frozen: dict[str, dict[str, str]] = ctx.job.parameters.get(FROZEN, {})
    if not frozen:
        return
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _release(ctx, host, uuid, frozen)
            break
        except CallError as error:
            if attempt == ATTEMPTS:
                raise
            ctx.log(error.message)
            STOPPING.wait(PAUSE_S)
    ctx.note(**{FROZEN: {}})


def _release(ctx: JobContext, host: Host, uuid: str, frozen: Mapping[str, Mapping[str, str]]) -> None:
    try:
        with connected(host) as connection:
            guest = connection.guest(uuid)
            woken = _merge_back(ctx, guest, frozen)
            if woken:
                guest.destroy()
            for target, paths in frozen.items():
                if _current(guest).get(target) == paths["overlay"]:
                    raise Conflict(
                        f"{guest.name} still writes to {paths['overlay']}, which could not be merged back.",
                        hint="Merge it with virsh blockcommit --active --pivot, when nothing else is at work on it.",
                    )
                if (left := find_volume(connection, paths["overlay"])) is not None:
                    left.delete()
    except GuestNotFound:
        ctx.log(f"The source is gone from {host.name}; what it wrote last is in {_overlays(frozen)}")


def _overlays(frozen: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(paths["overlay"] for paths in frozen.values())


def _merge_back(ctx: JobContext, guest: Guest, frozen: Mapping[str, Mapping[str, str]]) -> bool:
    """Merge each overlay that the guest is on. Returns whether the guest had to be started, paused, for that."""
    woken = False
    for target, paths in frozen.items():
        if _current(guest).get(target) != paths["overlay"]:
            continue
        if not guest.is_active():
            ctx.phase(f"{guest.name} was shut down meanwhile: it is started paused, for its disks to be merged")
            guest.start(paused=True)
            woken = True
        ctx.phase(f"Merging what {guest.name} wrote meanwhile back into {target}")
        _commit(ctx, guest, target, paths)
    return woken


def _current(guest: Guest) -> dict[str, str]:
    return {disk.target: disk.source for disk in guest.definition(inactive=not guest.is_active()).disks}


def _commit(ctx: JobContext, guest: Guest, target: str, paths: Mapping[str, str]) -> None:
    from vmdash.virt import blockjob

    if blockjob.info(guest, target) is None:
        blockjob.commit(guest, target, base=paths["base"], top=paths["overlay"], active=True)
    while not blockjob.is_ready(guest, target):
        if job := blockjob.info(guest, target):
            ctx.transferred(min(job.done_bytes, job.total_bytes), job.total_bytes)
        elif _current(guest).get(target) != paths["overlay"]:
            return
        else:
            raise Conflict(
                f"What {guest.name} wrote to {paths['overlay']} could not be merged back into {paths['base']}.",
                hint="Look whether its storage is full. It goes on in the overlay meanwhile; nothing is lost.",
            )
        with contextlib.suppress(Cancelled):
            ctx.check()
        STOPPING.wait(POLL_S)
    blockjob.pivot(guest, target)
