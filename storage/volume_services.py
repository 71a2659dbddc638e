"""Asking for changes of volumes. What is asked for becomes a job; a worker does it, and looks again before."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from hosts.connect import endpoint
from hosts.models import Host
from storage import chains, volume_jobs
from storage.models import Pool, Volume, VolumeSecret
from storage.volume_rows import volume_id
from vmdash import formats
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind
from vmdash.virt.xml.volume import WipeAlgorithm

FORMATS = ("qcow2", "raw")
_NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,255}\Z")


def create(
    *,
    pool: Pool,
    name: str,
    capacity_bytes: int,
    user: User,
    format: str = "qcow2",
    preallocated: bool = False,
    backing: Volume | None = None,
    passphrase: str = "",
) -> Job:
    """Have an empty volume made; with `backing` it shows that one's content and keeps only what changes.

    A passphrase encrypts it with LUKS. It is kept encrypted, given to the host as a private libvirt secret, and never
    shown again.

    Raises:
        InvalidInput, Conflict, NotPermitted: and what to do about it.
    """
    _check_new(pool, name, format)
    if capacity_bytes <= 0:
        raise InvalidInput("A volume needs a size above 0.")
    if backing and format != "qcow2":
        raise InvalidInput("Only a qcow2 volume can stand on another one.", hint="Choose qcow2, or make a clone.")
    if backing and backing.pool.host_id != pool.host_id:
        raise InvalidInput(f"{backing.name} is on another host than {pool.name}.", hint="Copy it to this host first.")
    if backing and capacity_bytes < backing.capacity_bytes:
        raise InvalidInput(
            f"It stands on {backing.name} and cannot be smaller: {formats.size(backing.capacity_bytes)}.",
            hint="Give it at least that size.",
        )
    if passphrase and pool.type not in _FILE_POOLS:
        raise InvalidInput(f"Volumes of {pool.type} pools cannot be encrypted by libvirt.")
    if preallocated:
        check_space(pool, name, capacity_bytes)
    if passphrase and len(passphrase) < 8:
        raise InvalidInput("The passphrase is too short.", hint="Give at least 8 letters.")
    parameters: dict[str, Any] = {
        "capacity_bytes": capacity_bytes,
        "format": format if pool.type in _FILE_POOLS else "",
        "allocation_bytes": capacity_bytes if preallocated else 0,
    }
    if backing:
        parameters |= {"backing_path": backing.path, "backing_format": backing.format or "raw"}
    with transaction.atomic():
        if passphrase:
            parameters["secret"] = _keep_secret(pool, name, passphrase)
        options = f" --allocation {capacity_bytes}b" if preallocated else ""
        if backing:
            options += f" --backing-vol {shlex.quote(backing.path)} --backing-vol-format {backing.format or 'raw'}"
        return _request(
            volume_jobs.CREATE,
            pool,
            name,
            user,
            f"Create volume {name} in {pool.name} on {pool.host.name}",
            parameters,
            f"vol-create-as {_q(pool.name)} {_q(name)} {capacity_bytes}b --format {format}{options}",
        )


def clone(
    *,
    source: Volume,
    pool: Pool,
    name: str,
    user: User,
    format: str = "",
    capacity_bytes: int = 0,
    passphrase: str = "",
) -> Job:
    """Have a copy of `source` made in a pool of the same host, in its own format or in another one.

    Raises:
        InvalidInput, Conflict, NotPermitted: and what to do about it.
    """
    format = format or source.format or "raw"
    _check_new(pool, name, format)
    if source.pool.host_id != pool.host_id:
        raise InvalidInput(f"{pool.name} is on another host than {source.name}.", hint="Choose a pool of its host.")
    if capacity_bytes and capacity_bytes < source.capacity_bytes:
        raise InvalidInput(
            f"A copy cannot be smaller than {source.name}: {formats.size(source.capacity_bytes)}.",
            hint="Leave its size, and shrink the copy afterwards.",
        )
    if source.encrypted:
        raise Conflict(
            f"Cannot clone {source.name}: it is encrypted, and libvirt copies only what it can read.",
            hint="Copy it from inside a guest.",
        )
    _check_active(source.pool)
    check_space(pool, name, source.allocation_bytes)
    parameters: dict[str, Any] = {
        "capacity_bytes": capacity_bytes or source.capacity_bytes,
        "format": format if pool.type in _FILE_POOLS else "",
        "allocation_bytes": 0,
        "source_pool": source.pool.name,
        "source_name": source.name,
    }
    with transaction.atomic():
        if passphrase:
            parameters["secret"] = _keep_secret(pool, name, passphrase)
        converts = format != source.format
        return _request(
            volume_jobs.CONVERT if converts else volume_jobs.CLONE,
            pool,
            name,
            user,
            f"Convert {source.name} to {format} as {name}" if converts else f"Clone {source.name} as {name}",
            parameters,
            f"vol-create-from {_q(pool.name)} {_q(name + '.xml')} {_q(source.name)} --inputpool {_q(source.pool.name)}",
        )


def resize(*, volume: Volume, capacity_bytes: int, user: User, shrink: bool = False) -> Job:
    """Raises Conflict when it would get smaller without `shrink`: what is behind the new end is lost."""
    if capacity_bytes <= 0:
        raise InvalidInput("A volume needs a size above 0.")
    _check_active(volume.pool)
    if capacity_bytes < volume.capacity_bytes and not shrink:
        raise Conflict(
            f"{volume.name} would get smaller: {formats.size(volume.capacity_bytes)} now.",
            hint="What is behind its new end would be lost. Say that it may shrink.",
        )
    if capacity_bytes < volume.capacity_bytes and volume.format == "qcow2" and volume.backing_path:
        raise Conflict(f"{volume.name} stands on another volume and cannot shrink.", hint="Make a full clone of it.")
    _check_unused(volume, "resize", user)
    return _request(
        volume_jobs.RESIZE,
        volume.pool,
        volume.name,
        user,
        f"Resize {volume.name} to {formats.size(capacity_bytes)}",
        {"capacity_bytes": capacity_bytes, "shrink": shrink},
        f"vol-resize --pool {_q(volume.pool.name)} {_q(volume.name)} {capacity_bytes}b" + (" --shrink" * shrink),
    )


def wipe(*, volume: Volume, user: User, confirm: str, algorithm: str = WipeAlgorithm.ZERO) -> Job:
    """Have its whole content overwritten. `confirm` is its name."""
    _check_confirmed(volume, confirm, "wipe")
    _check_unused(volume, "wipe", user)
    return _request(
        volume_jobs.WIPE,
        volume.pool,
        volume.name,
        user,
        f"Wipe {volume.name}",
        {"algorithm": WipeAlgorithm(algorithm).value},
        f"vol-wipe --pool {_q(volume.pool.name)} {_q(volume.name)} --algorithm {WipeAlgorithm(algorithm).value}",
    )


def delete(*, volume: Volume, user: User, confirm: str) -> Job:
    """`confirm` is its name."""
    _check_confirmed(volume, confirm, "delete")
    _check_unused(volume, "delete", user)
    return _request(
        volume_jobs.DELETE,
        volume.pool,
        volume.name,
        user,
        f"Delete volume {volume.name}",
        {},
        f"vol-delete --pool {_q(volume.pool.name)} {_q(volume.name)}",
    )


def again(*, job: Job, user: User) -> Job:
    """The same once more, with the same checks. Raises VmdashError."""
    old: dict[str, Any] = job.parameters
    pool = Pool.objects.visible_to(user).select_related("host").filter(pk=old["pool"]).first()
    if pool is None:
        raise NotFound("Its pool is not in the inventory any more.")
    if "secret" in old:
        raise Conflict("Its passphrase was not kept.", hint="Ask for it anew.")
    name = old["name"]
    if job.kind in (volume_jobs.CLONE.name, volume_jobs.CONVERT.name):
        source = find(pool.host, old["source_pool"], old["source_name"])
        return clone(
            source=source,
            pool=pool,
            name=name,
            user=user,
            format=old["format"],
            capacity_bytes=max(old["capacity_bytes"], source.capacity_bytes),
        )
    if job.kind == volume_jobs.CREATE.name:
        backing = Volume.objects.filter(pool__host=pool.host, path=old.get("backing_path") or "-").first()
        return create(
            pool=pool,
            name=name,
            capacity_bytes=old["capacity_bytes"],
            user=user,
            format=old["format"] or "raw",
            preallocated=bool(old["allocation_bytes"]),
            backing=backing,
        )
    volume = find(pool.host, pool.name, name)
    if job.kind == volume_jobs.RESIZE.name:
        return resize(volume=volume, capacity_bytes=old["capacity_bytes"], user=user, shrink=old["shrink"])
    if job.kind == volume_jobs.WIPE.name:
        return wipe(volume=volume, user=user, confirm=name, algorithm=old["algorithm"])
    return delete(volume=volume, user=user, confirm=name)


def find(host: Host, pool: str, name: str) -> Volume:
    """Raises NotFound."""
    found = Volume.objects.select_related("pool__host").filter(pool__host=host, pool__name=pool, name=name).first()
    if found is None:
        raise NotFound(f"There is no volume {name} in {pool} on {host.name}.", hint="Refresh the pool.")
    return found


def check_new_name(pool: Pool, name: str) -> None:
    """Raises InvalidInput for what cannot be a name, Conflict when it is taken or the pool is stopped."""
    if not _NAME.match(name) or name in (".", "..") or name != name.strip():
        raise InvalidInput(f"“{name[:60]}” cannot be the name of a volume.", hint="Use letters without a slash.")
    _check_active(pool)
    if pool.volumes.filter(name=name).exists():
        raise Conflict(f"{pool.name} on {pool.host.name} has a volume {name} already.", hint="Choose another name.")


def check_space(pool: Pool, name: str, needed_bytes: int) -> None:
    """Raises Conflict when the pool has less than that, as far as its last survey tells."""
    if pool.capacity_bytes and needed_bytes > pool.available_bytes:
        raise Conflict(
            f"There is not enough space for {name} in {pool.name} on {pool.host.name}: it needs "
            f"{formats.size(needed_bytes)}, and {formats.size(pool.available_bytes)} are free.",
            hint="Free some space, or choose another pool.",
        )


_FILE_POOLS = ("dir", "fs", "netfs", "gluster", "vstorage")


def _check_new(pool: Pool, name: str, format: str) -> None:
    check_new_name(pool, name)
    if format not in FORMATS:
        raise InvalidInput(f"There is no format {format[:20]!r} to choose.", hint=f"Formats: {', '.join(FORMATS)}.")
    if format != "raw" and pool.type not in _FILE_POOLS:
        raise InvalidInput(f"{pool.name} is a {pool.type} pool: its volumes are raw.", hint="Choose raw.")


def _check_active(pool: Pool) -> None:
    if pool.state not in (Pool.State.RUNNING, Pool.State.DEGRADED):
        raise Conflict(
            f"Pool {pool.name} on {pool.host.name} is {Pool.State(pool.state).label}.", hint="Start the pool first."
        )


def _check_confirmed(volume: Volume, confirm: str, verb: str) -> None:
    _check_active(volume.pool)
    if confirm != volume.name:
        raise InvalidInput(f"To {verb} {volume.name}, type its name.", hint="Its content is lost for good.")


def _check_unused(volume: Volume, verb: str, user: User) -> None:
    """What is known of guests and overlays, over the whole fleet; the worker asks the host itself, too.

    Raises Conflict.
    """
    ask = chains.obstacle_to_delete if verb == "delete" else chains.obstacle_to_write
    obstacle = ask(volume, user)
    if obstacle:
        raise Conflict(f"Cannot {verb} {volume.name}: {obstacle[0].lower()}{obstacle[1:]}")


def _keep_secret(pool: Pool, name: str, passphrase: str) -> str:
    secret = VolumeSecret.objects.create(host=pool.host, pool_name=pool.name, volume_name=name, passphrase=passphrase)
    return str(secret.pk)


def _request(
    kind: Kind, pool: Pool, name: str, user: User, label: str, parameters: Mapping[str, Any], virsh: str
) -> Job:
    if not can(user, Permission.STORAGE, pool):
        raise NotPermitted(f"You may not {Permission.STORAGE.label}.")
    return jobs.create(
        kind=kind,
        user=user,
        target=jobs.Target(kind="volume", id=volume_id(pool, name), name=name, host_name=pool.host.name),
        label=label,
        parameters={"pool": pool.pk, "name": name, **parameters},
        virsh=f"virsh -c {endpoint(pool.host).uri()} {virsh}",
    )


def _q(text: str) -> str:
    return shlex.quote(text)
