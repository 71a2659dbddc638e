"""One clone, made in a worker: its disks, its firmware's variables, and last of all its definition.

Everything is named in the job's parameters before it is made. A clone that fails or is cancelled is removed;
what came of one that was interrupted otherwise, `domains.cloning.jobs` finds out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from domains.cloning.source import Source, SourceDisk
from hosts.connect import connected
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from storage import copying, undoing
from storage.inventory import record_volume
from storage.models import Pool
from storage.selectors import is_shared
from vmdash.exceptions import Conflict
from vmdash.jobs.context import JobContext
from vmdash.virt.errors import AlreadyExists, CallError, GuestNotFound, NetworkNotFound, VolumeNotFound
from vmdash.virt.xml import parse
from vmdash.virt.xml.clone import Identity, ImageFile, clone_definition, nvram_path, own_path
from vmdash.virt.xml.volume import VolumeSpec

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.pool import Pool as VirtPool


@dataclass(frozen=True, slots=True)
class Clone:
    """What a clone will be, as it stands in the job's parameters."""

    name: str
    uuid: str
    macs: Sequence[str]
    volumes: Mapping[str, str]
    """The volume's name, by disk."""
    pools: Mapping[str, str]
    formats: Mapping[str, str]
    linked: bool
    start: bool
    host: Host

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Clone:
        """The clone of a `domain.clone` job."""
        one, disks = parameters["clone"], parameters["disks"]
        return cls(
            name=one["name"],
            uuid=one["uuid"],
            macs=one["macs"],
            volumes=one["volumes"],
            pools={target: disk["pool"] for target, disk in disks.items()},
            formats={target: disk["format"] for target, disk in disks.items()},
            linked=parameters["linked"],
            start=parameters["start"],
            host=Host.objects.select_related("credential").get(pk=parameters["host"]),
        )


def check(clone: Clone, source: Source) -> None:
    """Whether the target host can take it: its names are free there, its networks and pools are there.

    Raises:
        AlreadyExists, Conflict, PoolNotFound, NetworkNotFound …
    """
    if reason := maintenance_obstacle(clone.host):
        raise Conflict(f"Cannot make {clone.name}: {reason}")
    planned, found = set(clone.volumes), {disk.target for disk in source.disks}
    if planned != found:
        raise Conflict(
            f"Cannot make {clone.name}: the disks of its source are not those any more that it was planned with.",
            hint="Ask for the clone anew.",
        )
    with connected(clone.host) as connection:
        with contextlib.suppress(GuestNotFound):
            connection.guest_named(clone.name)
            raise AlreadyExists.because(
                f"make {clone.name}", clone.host.name, reason="there is a guest of that name already"
            )
        for name in sorted(set(clone.pools.values())):
            if connection.pool(name).facts().state != "running":
                raise Conflict(f"Cannot make {clone.name}: the pool {name} on {clone.host.name} is not active.")
        for name in _networks(source.xml):
            try:
                connection.network(name)
            except NetworkNotFound as error:
                raise NetworkNotFound(
                    f"Cannot make {clone.name}: {clone.host.name} has no network {name}.",
                    hint="Define one of that name there.",
                    detail=error.detail,
                ) from error


def _networks(xml: str) -> list[str]:
    sources = parse(xml).iterfind("./devices/interface[@type='network']/source")
    return sorted({name for source in sources if (name := source.get("network"))})


def make_disks(ctx: JobContext, source: Source, clone: Clone) -> None:
    """Copies of the source's disks, or overlays on them; and a copy of its firmware's variables."""
    for number, disk in enumerate(source.disks, 1):
        if clone.linked:
            _overlay(ctx, source, clone, disk)
            continue
        of = f" ({number} of {len(source.disks)})" if len(source.disks) > 1 else ""
        ctx.phase(f"Copying {disk.target}{of} to {clone.volumes[disk.target]} in {clone.pools[disk.target]}")
        _copy(ctx, source, clone, disk)
    copy_nvram(ctx, source, clone)


def _spec(clone: Clone, disk: SourceDisk, pool_type: str = "dir") -> VolumeSpec:
    return VolumeSpec(
        name=clone.volumes[disk.target],
        capacity_bytes=disk.volume.capacity_bytes,
        format=clone.formats[disk.target] if pool_type in copying.FILE_POOLS else "",
        allocation_bytes=0 if pool_type in copying.FILE_POOLS else None,
        backing_path=disk.path if clone.linked else "",
        backing_format=disk.volume.format if clone.linked else "",
    )


def _overlay(ctx: JobContext, source: Source, clone: Clone, disk: SourceDisk) -> None:
    pool_name, name = clone.pools[disk.target], clone.volumes[disk.target]
    spec = _spec(clone, disk)
    if clone.host.pk != source.host.pk:
        shared = is_shared(disk.path, source.host, clone.host)
        if shared is None:
            raise Conflict(
                f"Cannot make {clone.name}: {clone.host.name} does not reach {disk.path} of {source.host.name}.",
                hint="Make a full clone there, or a linked one here.",
            )
        spec = replace(spec, backing_path=shared.path_there)
    with connected(clone.host) as connection:
        pool = connection.pool(pool_name)
        undoing.refuse_existing(pool, name)
        with undoing.begun(ctx, clone.host, pool_name, name):
            pool.create_volume(spec)


def _copy(ctx: JobContext, source: Source, clone: Clone, disk: SourceDisk) -> None:
    pool = clone.pools[disk.target]
    if clone.host.pk == source.host.pk:
        with connected(source.host) as connection:
            spec = _spec(clone, disk, connection.pool(pool).facts().type)
        copying.copy_volume(ctx, source.host, disk.pool, disk.volume.name, pool, spec)
    elif here := same_storage(source.host, clone.host, pool):
        # It stays on this storage, which the host that has the source can write to by itself.
        spec = _spec(clone, disk, here.type)
        copying.copy_volume(ctx, source.host, disk.pool, disk.volume.name, here.name, spec)
        with connected(clone.host) as connection:
            copying.look_through(ctx, connection.pool(pool))
    else:
        _copy_over(ctx, source, clone, disk)


def same_storage(host: Host, other: Host, pool: str) -> Pool | None:
    """The active pool of `host` that is one and the same storage as `pool` of the `other` host; None without one."""
    there = Pool.objects.filter(host=other, name=pool).exclude(storage=None).first()
    if there is None:
        return None
    return Pool.objects.filter(host=host, storage=there.storage_id, state=Pool.State.RUNNING).first()


def _copy_over(ctx: JobContext, source: Source, clone: Clone, disk: SourceDisk) -> None:
    """To another host. Bytes are carried over as they are; what stands on another image is made a whole one first."""
    wanted = clone.formats[disk.target]
    spec = _spec(clone, disk)
    pool, name = disk.pool, disk.volume.name
    between = ""
    if disk.volume.backing_path or disk.volume.format != wanted:
        between = intermediate(ctx, disk)
        ctx.log(f"{disk.target} stands on another image: a whole copy of it is made on {source.host.name} first")
        copying.copy_volume(
            ctx, source.host, pool, name, pool, VolumeSpec(between, disk.volume.capacity_bytes, format=wanted)
        )
        name = between
    try:
        copying.copy_between_hosts(
            ctx,
            source_host=source.host,
            source_pool=pool,
            source_name=name,
            target_host=clone.host,
            target_pool=clone.pools[disk.target],
            spec=spec,
        )
    finally:
        if between:
            undoing.remove(source.host, pool, between)


def intermediate(ctx: JobContext, disk: SourceDisk) -> str:
    """The name of the volume that stands in for a disk on its way to another host."""
    return f"cloning-{ctx.job.pk.hex[:8]}-{disk.target}"


def copy_nvram(ctx: JobContext, source: Source, clone: Clone) -> None:
    """The firmware's variables are in a file in no pool. Where there is none yet the firmware makes it at the start."""
    path = nvram_path(source.xml)
    if not path:
        return
    new = _own_nvram(source, clone)
    pool = _folder_name(ctx)
    with _folder_of(source.host, path, pool) as here, _folder_of(clone.host, new, pool) as there:
        if here is None or there is None:
            ctx.log("The firmware's variables are not there yet: the clone begins with new ones")
            return
        try:
            old = here.volume(PurePosixPath(path).name)
        except VolumeNotFound:
            ctx.log("The firmware's variables are not there yet: the clone begins with new ones")
            return
        if ctx.job.parameters.get("nvram") == new:  # what an interrupted attempt left
            with contextlib.suppress(VolumeNotFound):
                there.volume(PurePosixPath(new).name).delete()
        undoing.refuse_existing(there, PurePosixPath(new).name)
        ctx.note(nvram=new)
        with old.download() as stream:
            data = b"".join(piece for piece in iter(stream.read, b"") if isinstance(piece, bytes))
        volume = there.create_volume(VolumeSpec(PurePosixPath(new).name, len(data), format="raw"))
        with volume.upload(length=len(data)) as stream:
            stream.write(data)


def _folder_name(ctx: JobContext) -> str:
    return f"cloning-{ctx.job.pk.hex[:8]}"


def _own_nvram(source: Source, clone: Clone) -> str:
    name = parse(source.xml).findtext("./name", "")
    return own_path(nvram_path(source.xml), name, clone.name)


@contextmanager
def _folder_of(host: Host, path: str, name: str) -> Iterator[VirtPool | None]:
    """The pool of the folder that a file is in, made for the moment where there is none. None without the folder."""
    folder = str(PurePosixPath(path).parent)
    with connected(host) as connection:
        for pool in connection.pools():
            if pool.facts().target_path.rstrip("/") == folder and pool.facts().state == "running":
                pool.refresh()
                yield pool
                return
        try:
            pool = connection.open_folder(name, folder)
        except CallError:
            yield None
            return
        try:
            yield pool
        finally:
            pool.stop()


def define(ctx: JobContext, source: Source, clone: Clone) -> None:
    """The last step: from now on the clone is there."""
    with connected(clone.host) as connection:
        images = {target: _image(connection, clone, target) for target in clone.volumes}
        nvram = nvram_path(source.xml) and _own_nvram(source, clone)
        identity = Identity(clone.name, clone.uuid, clone.macs, images, nvram)
        connection.define(clone_definition(source.xml, identity))
    ctx.log(f"{clone.name} is defined on {clone.host.name}")


def _image(connection: HostConnection, clone: Clone, target: str) -> ImageFile:
    """Where the clone's disk is; its row is written on the way, so that pages know it before the next survey."""
    pool = connection.pool(clone.pools[target])
    definition = pool.volume(clone.volumes[target]).definition()
    if (row := Pool.objects.filter(host=clone.host, name=pool.name).first()) is not None:
        record_volume(row, definition)
    return ImageFile(definition.path, definition.format or "raw", block=definition.kind == "block")


def is_defined(clone: Clone) -> bool:
    with connected(clone.host) as connection:
        try:
            connection.guest(clone.uuid)
        except GuestNotFound:
            return False
        return True


def start(clone: Clone) -> None:
    with connected(clone.host) as connection:
        guest = connection.guest(clone.uuid)
        if not guest.is_active():
            guest.start()


def is_complete(ctx: JobContext, source: Host, clone: Clone) -> bool:
    """Whether every disk of an interrupted clone is whole. Waits while the host is still at work on one."""
    for target, name in clone.volumes.items():
        there = clone.pools[target]
        here = None if clone.host.pk == source.pk or clone.linked else same_storage(source, clone.host, there)
        where = (source, here.name) if here else (clone.host, there)
        if undoing.settle(ctx, *where, name) is not undoing.Fate.COMPLETE:
            return False
    return True


def tidy(ctx: JobContext, clone: Clone) -> None:
    """Remove what was only needed on the way, once the clone is defined. Raises HostError."""
    undoing.remove_begun(ctx, but=set(clone.volumes.values()))


def remove(ctx: JobContext, clone: Clone) -> None:
    """Remove what this job has begun to make; a host that is still at work on it is waited for. What a guest was
    defined with stays: it is asked for once more, in the last moment.

    Raises:
        HostError: a host cannot be asked now.
    """
    if is_defined(clone):
        return
    undoing.remove_begun(ctx)
    path = ctx.job.parameters.get("nvram", "")
    if path:
        with _folder_of(clone.host, path, _folder_name(ctx)) as folder:
            if folder is not None:
                with contextlib.suppress(VolumeNotFound):
                    folder.volume(PurePosixPath(path).name).delete()
