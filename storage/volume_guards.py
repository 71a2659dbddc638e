"""Why a volume must not be deleted or written, asked of the host at the moment before: what pages knew may be old."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmdash.exceptions import Conflict
from vmdash.virt.errors import CallError, GuestNotFound

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.pool import Pool
    from vmdash.virt.volume import Volume
    from vmdash.virt.xml.domain import DomainDefinition


def refuse_use(connection: HostConnection, pool: Pool, volume: Volume, doing: str, *, also_off: bool) -> None:
    """Refuse when a guest of this host that runs has the volume (with `also_off`: one that is off, too), or when other
    volumes of its active pools stand on it. `doing` begins the sentence: "Cannot delete a.qcow2".

    Raises:
        Conflict: and who it is.
    """
    names = {volume.path(), volume.key(), f"{pool.name}/{volume.name}"}
    for name, is_active in _guests_with(connection, names):
        if is_active:
            raise Conflict(f"{doing}: the guest {name} runs with it.", hint=f"Shut {name} down first.")
        if also_off:
            raise Conflict(f"{doing}: it belongs to the guest {name}.", hint=f"Take the disk out of {name} first.")
    if overlays := list(_overlays(connection, names)):
        more = f" and {len(overlays) - 3} more" if len(overlays) > 3 else ""
        raise Conflict(
            f"{doing}: other volumes stand on it and would be destroyed: {', '.join(overlays[:3])}{more}.",
            hint="Delete those first, or merge them.",
        )


def _guests_with(connection: HostConnection, names: set[str]) -> Iterator[tuple[str, bool]]:
    for guest in connection.guests():
        try:
            if names & set(_files(guest.definition())):
                yield guest.name, guest.is_active()
        except GuestNotFound:
            continue


def _files(definition: DomainDefinition) -> Iterator[str]:
    for disk in definition.disks:
        yield disk.source
        yield from (image.source for image in disk.backing)


def _overlays(connection: HostConnection, names: set[str]) -> Iterator[str]:
    for pool in connection.pools():
        try:
            volumes = pool.volumes()
        except CallError:  # it is stopped
            continue
        for volume in volumes:
            try:
                if volume.definition().backing_path in names:
                    yield f"{volume.name} in {pool.name}"
            except CallError:
                continue
