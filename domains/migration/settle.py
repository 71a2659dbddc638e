"""After a migration has ended, however it did: where the guest is, asked of both hosts, and putting right what is half.

The guest runs once, and on one side only is anything of it left. Nothing here guesses: a side that cannot be asked, and
whose answer would matter, raises `Unavailable`, and is asked again later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.migration.move import Move
from domains.migration.sharing import volume_at
from domains.models import Domain
from hosts.connect import connected
from hosts.models import Host
from storage import undoing
from storage.models import Volume
from vmdash.exceptions import Conflict
from vmdash.jobs.database import insist
from vmdash.virt.errors import (
    CallError,
    GuestNotFound,
    HostError,
    InvalidState,
    PoolBusy,
    PoolNotFound,
    VolumeNotFound,
)
from vmdash.virt.states import GuestState, GuestStatus

if TYPE_CHECKING:
    from vmdash.jobs.context import JobContext
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.migration_types import MigrationProgress

log = logging.getLogger(__name__)

_ON_ITS_WAY = frozenset({"migration", "starting_up", "postcopy"})
"""Reasons of a pause that belong to a migration."""
IN_BETWEEN_S = 30
"""So long may the daemons need to agree on the end."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one host says of the guest. `status` is None when it has no such guest."""

    guest: Guest | None
    status: GuestStatus | None
    persistent: bool
    migrating: bool

    @property
    def is_active(self) -> bool:
        return self.status is not None and self.status.state.is_active

    @property
    def is_waiting(self) -> bool:
        """Paused as a migration leaves it: not yet, or no longer, the one that runs."""
        status = self.status
        return status is not None and status.state is GuestState.PAUSED and status.reason in _ON_ITS_WAY

    @property
    def runs(self) -> bool:
        return self.is_active and not self.is_waiting


def look(connection: HostConnection, uuid: str) -> Side:
    """Raises HostError."""
    from vmdash.virt import migration

    try:
        guest = connection.guest(uuid)
        facts = guest.facts()
        migrating = facts.status.state.is_active and migration.progress(guest) is not None
    except GuestNotFound:
        return Side(None, None, persistent=False, migrating=False)
    return Side(guest, facts.status, facts.persistent, migrating)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where it is now. `words` for people; `told` what the move took, if it arrived and the host tells."""

    arrived: bool
    words: str
    told: MigrationProgress | None = None


def settle(
    ctx: JobContext, move: Move, source: HostConnection | None = None, target: HostConnection | None = None
) -> Settled:
    """The truth, with what was half-done put right. Uses connections that are open already.

    Raises HostError, PoolBusy when a host whose answer matters cannot be asked.
    """
    with _open(move.source, source) as there_from:
        try:
            with _open(move.target, target) as there_to:
                return _settle(ctx, move, there_from, there_to)
        except HostError as error:
            if not move.copied and there_from.is_alive():
                return _without_the_target(move, look(there_from, move.uuid), error)
            raise


@contextmanager
def _open(host: Host, given: HostConnection | None) -> Iterator[HostConnection]:
    """The given connection while it lives, or a new one."""
    if given is not None and given.is_alive():
        yield given
        return
    with connected(host) as connection:
        yield connection


def _without_the_target(move: Move, here: Side, error: HostError) -> Settled:
    """The source alone is enough when it runs the guest and sends nothing: then nobody else can have it."""
    if here.runs and not here.migrating:
        return Settled(False, f"{move.name} runs on {move.source.name} as before. {move.target.name} does not answer.")
    raise error


def _settle(ctx: JobContext, move: Move, source: HostConnection, target: HostConnection) -> Settled:
    sides = [look(source, move.uuid), look(target, move.uuid)]

    def agreed() -> bool:
        sides[:] = [look(source, move.uuid), look(target, move.uuid)]
        return not _in_between(*sides)

    if _in_between(*sides):
        _wait(agreed)
    here, there = sides
    if _has_arrived(move, here, there):
        return _finish(ctx, move, source, target, here, there)
    return _undo(ctx, move, target, here, there)


def _wait(agreed: Callable[[], bool]) -> None:
    """Whether it was cancelled is not asked: what came of that is what is looked for here."""
    end = time.monotonic() + IN_BETWEEN_S
    while time.monotonic() < end and not agreed():
        time.sleep(0.2)


def _in_between(here: Side, there: Side) -> bool:
    return here.migrating or (here.is_waiting and there.is_waiting) or (there.is_waiting and not here.is_active)


def _has_arrived(move: Move, here: Side, there: Side) -> bool:
    if move.options.live:
        left = here.status is None or (not here.is_active and here.status.reason == "migrated")
        return (there.runs and not here.runs) or (there.status is not None and not there.is_waiting and left)
    return there.status is not None and not here.is_active and not there.is_active and not move.was_defined_there


def _finish(
    ctx: JobContext, move: Move, source: HostConnection, target: HostConnection, here: Side, there: Side
) -> Settled:
    """It is over there: let nothing of it stay behind, and all of it be as it was."""
    from vmdash.virt import migration

    told = None
    if there.guest is None:
        raise Conflict(f"{move.name} left {move.target.name} in this very moment.")
    if move.options.live:
        try:
            told = migration.completed(there.guest)
        except CallError as error:
            ctx.log(f"What the move took is not known. {error.message}")
    if move.options.persistent and not there.persistent:
        target.define(there.guest.xml(secure=True, inactive=True))
    if move.autostart and move.options.persistent:
        there.guest.set_autostart(True)
    if here.guest is not None and move.options.undefine_source and not here.is_active and here.persistent:
        with suppress(GuestNotFound):  # its own libvirtd was asked to, and may do so in the same moment
            here.guest.undefine(managed_save=True, nvram=True)
    if move.remove_copied and (there.runs or not move.options.live) and not here.is_active:
        _remove_left_behind(ctx, move, source)
    return Settled(True, f"{move.name} {'runs' if move.options.live else 'is'} on {move.target.name}.", told)


def _remove_left_behind(ctx: JobContext, move: Move, source: HostConnection) -> None:
    """The disks that were copied are stale from now on; what others stand on stays."""
    for disk in move.copied:
        if _is_used_by_others(move, disk.source_path):
            ctx.log(f"{disk.source_path} stays on {move.source.name}: other guests or volumes use it")
            continue
        try:
            volume_at(source, disk.source_path).delete()
            ctx.log(f"Removed {disk.source_path} from {move.source.name}: it was copied")
        except VolumeNotFound:
            continue
        except PoolBusy:
            raise
        except CallError as error:
            ctx.log(f"{disk.source_path} stays on {move.source.name}. {error.message}")


def _is_used_by_others(move: Move, path: str) -> bool:
    guests = Domain.objects.present().filter(sightings__host=move.source, xml__contains=path).exclude(pk=move.domain.pk)
    overlays = Volume.objects.filter(pool__host=move.source, backing_path=path)
    return insist(guests.exists) or insist(overlays.exists)


def _undo(ctx: JobContext, move: Move, target: HostConnection, here: Side, there: Side) -> Settled:
    """It stayed: nothing of the attempt remains over there, and it goes on here."""
    if there.is_active and there.is_waiting and here.guest is not None and there.guest is not None:
        with suppress(GuestNotFound, InvalidState):  # its own libvirtd may take it away in the same moment
            there.guest.destroy()
        there = look(target, move.uuid)
    if there.guest is not None and not there.is_active and not move.was_defined_there and here.status is not None:
        with suppress(GuestNotFound):
            there.guest.undefine(managed_save=True, nvram=True)
    if not there.is_active and here.status is not None:
        _remove_half_made(ctx, move, target)
    if here.is_waiting and here.guest is not None and not there.is_active and not move.paused:
        here.guest.resume()
        here = Side(here.guest, here.guest.status(), here.persistent, migrating=False)
    if here.status is None:
        return Settled(False, f"{move.name} is gone from {move.source.name}: it ended or was removed meanwhile.")
    if here.is_active:
        return Settled(False, f"{move.name} runs on {move.source.name} as before.")
    return Settled(False, f"{move.name} is off, on {move.source.name}.")


def _remove_half_made(ctx: JobContext, move: Move, target: HostConnection) -> None:
    for disk in move.copied:
        if not undoing.is_marked(move.job, "begun", move.target, disk.pool, disk.volume):
            continue  # it was not begun: what has that name is somebody else's
        try:
            target.pool(disk.pool).find(disk.volume).delete()
            ctx.log(f"Removed the half-made {disk.volume} from pool {disk.pool} of {move.target.name}")
        except (VolumeNotFound, PoolNotFound):
            continue
        except PoolBusy:
            raise
        except CallError as error:
            ctx.log(f"{disk.volume} stays in pool {disk.pool} of {move.target.name}. {error.message}")
