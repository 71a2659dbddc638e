"""The files that snapshots leave on a host's storage, reached through its pools."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from domains.models import Domain
from storage.models import Volume as VolumeRow
from vmdash.virt.errors import CallError, PoolBusy, VolumeNotFound
from vmdash.virt.snapshot import snapshots

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest
    from vmdash.virt.pool import Pool
    from vmdash.virt.volume import Volume
    from vmdash.virt.xml.snapshot import SnapshotDefinition

log = logging.getLogger(__name__)

PATIENCE_S = 60
"""How long a pool in which volumes are being made is waited for."""
MOST_LAYERS = 200
"""libvirt's own limit of a backing chain."""


class Files:
    """The files of one host, as its pools show them. Each pool is looked through once, when it is first asked.

    Methods raise PoolBusy when it cannot be looked through for long.
    """

    def __init__(self, connection: HostConnection) -> None:
        self._connection = connection
        self._pools: dict[str, list[Pool]] = {}

    def backing(self, path: str) -> str:
        """The file below; empty where there is none, or no pool shows it."""
        volume = self._volume(path)
        return "" if volume is None else volume.definition().backing_path

    def chain(self, path: str) -> list[str]:
        """The file and those below it, as far as pools show them."""
        found = [path]
        while (below := self.backing(found[-1])) and below not in found and len(found) < MOST_LAYERS:
            found.append(below)
        return found

    def size_bytes(self, paths: Iterable[str]) -> int | None:
        """What they take on the storage together; None where no pool shows one of them."""
        total = 0
        for path in paths:
            if (volume := self._volume(path)) is None:
                return None
            total += volume.use().allocation_bytes
        return total

    def above(self, path: str) -> set[str]:
        """The files that have this one below them: all that any pool of this host shows beside it, and any pool of
        the fleet was seen to have."""
        found = set(VolumeRow.objects.filter(backing_path=path).values_list("path", flat=True))
        for pool in self._pools_of(path):
            for volume in pool.volumes():
                with suppress(CallError):  # deleted meanwhile
                    definition = volume.definition()
                    if definition.backing_path == path:
                        found.add(definition.path)
        return {one for one in found if self._exists_or_is_elsewhere(one)}

    def remove(self, paths: Iterable[str]) -> list[str]:
        """Delete files. Returns those that no pool shows, and that may therefore still be there."""
        left = []
        for path in paths:
            volume = self._volume(path)
            if volume is not None:
                volume.delete()
            elif not self._pools_of(path):
                left.append(path)
        return left

    def look_again(self, paths: Iterable[str]) -> None:
        """Have the pools of these files noticed what was made and deleted behind their back."""
        for path in paths:
            self._pools.pop(_folder(path), None)
            self._pools_of(path)

    def _volume(self, path: str) -> Volume | None:
        self._pools_of(path)
        try:
            return self._connection.volume_at(path)
        except VolumeNotFound:
            return None

    def _exists_or_is_elsewhere(self, path: str) -> bool:
        return not self._pools_of(path) or self._volume(path) is not None

    def _pools_of(self, path: str) -> list[Pool]:
        """The active pools of that folder, refreshed: what libvirt makes for snapshots they do not notice."""
        folder = _folder(path)
        if folder not in self._pools:
            found = []
            for pool in self._connection.pools():
                try:
                    if pool.facts().target_path == folder:
                        pool.refresh(patience_s=PATIENCE_S)
                        found.append(pool)
                except PoolBusy:  # what is there is not known then, and must not be guessed
                    raise
                except CallError as error:  # stopped, or gone
                    log.info("Pool %s is not looked through: %s", pool.name, error)
            self._pools[folder] = found
        return self._pools[folder]


def needed_by_snapshots(files: Files, guest: Guest, *, besides: Collection[str] = ()) -> set[str]:
    """Every file that holds a part of the guest's snapshots (but not of those named): what they were taken of, and
    all that is below."""
    needed: set[str] = set()
    for one in snapshots(guest):
        if one.name not in besides:
            for disk in one.definition().disks:
                if disk.base.startswith("/") and disk.base not in needed:
                    needed.update(files.chain(disk.base))
    return needed


def used_by_guests(path: str, *, besides: Domain) -> list[str]:
    """The names of other guests that have the file as a disk, as they were seen last."""
    rows = Domain.objects.present().exclude(pk=besides.pk).filter(xml__contains=path)
    return [row.name for row in rows if any(disk["source"] == path for disk in row.disks)]


def sizes(files: Files, definitions: Iterable[SnapshotDefinition]) -> dict[str, int | None]:
    """What each snapshot's own files take, by its name; nothing for those that have none."""
    found: dict[str, int | None] = {}
    for definition in definitions:
        paths = [disk.overlay for disk in definition.external_disks]
        paths += [definition.memory_file] if definition.memory_file else []
        if paths:
            try:
                found[definition.name] = files.size_bytes(paths)
            except CallError as error:
                log.info("The size of %s is not known: %s", definition.name, error)
    return found


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)
