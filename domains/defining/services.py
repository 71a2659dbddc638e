"""Asking for a new guest. What is asked for becomes a job; a worker does it, and looks again before."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from uuid import uuid4

from domains.actions import host_obstacle
from domains.cloning import names
from domains.defining.jobs import DEFINE
from domains.defining.wish import VolumeNamed, Wish
from domains.models import Domain
from hosts.connect import endpoint
from hosts.models import Driver, Host
from storage import chains
from storage.models import Pool, Volume
from vmdash import formats
from vmdash.access.audit import record
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from vmdash.access.models import User


def define(*, host: Host, wish: Wish, user: User) -> Job:
    """Have a guest made on a host that `user` may see.

    Raises:
        NotPermitted: `user` may not. InvalidInput, Conflict: it is not possible, and why.
    """
    if not can(user, Permission.DEFINE, host):
        record(
            user=user,
            action=DEFINE.name,
            target_kind="host",
            target_id=str(host.pk),
            target_name=host.name,
            refused=True,
        )
        raise NotPermitted(f"You may not {Permission.DEFINE.label}.")
    check(host, wish, user)
    uuid = str(uuid4())
    return jobs.create(
        kind=DEFINE,
        user=user,
        target=jobs.Target(kind="domain", id=uuid, name=wish.name, host_name=host.name),
        label=f"Make guest {wish.name} on {host.name}",
        parameters={**wish.parameters(), "host": host.pk, "uuid": uuid, "mac": names.new_macs(1)[0]},
        virsh=shlex.join(["virsh", "--connect", endpoint(host).uri(), "define", f"{wish.name}.xml"]),
    )


def check(host: Host, wish: Wish, user: User | None = None) -> None:
    """Whether it can be made, as far as is known without asking the host. Raises InvalidInput or Conflict."""
    doing = f"Cannot make {wish.name} on {host.name}"
    if host.driver != Driver.QEMU:
        raise InvalidInput(f"{doing}: vmdash makes guests on QEMU hosts only.", hint="Define it with virsh.")
    if obstacle := host_obstacle(host):
        raise Conflict(f"{doing}: {obstacle}")
    if Domain.objects.present().filter(host=host, name=wish.name).exists():
        raise Conflict(f"{doing}: there is a guest of that name already.", hint="Choose another name.")
    if host.memory_kib and wish.memory_bytes > host.memory_kib * 1024:
        raise InvalidInput(f"{doing}: the host has {formats.size(host.memory_kib * 1024)} of memory in all.")
    if wish.network and wish.network not in {network["name"] for network in host.networks}:
        raise InvalidInput(f"{doing}: it has no network {wish.network}.")
    if wish.disk:
        _check_disk(host, wish.disk, doing, user)
    if wish.medium:
        _volume(host, wish.medium, doing)


def _check_disk(host: Host, disk: VolumeNamed, doing: str, user: User | None) -> None:
    if not disk.new_bytes:
        volume = _volume(host, disk, doing)
        if obstacle := chains.obstacle_to_delete(volume, user):  # what nothing else is built on may be written to
            raise Conflict(f"{doing} with {volume.name}: {obstacle}")
        if volume.encrypted:
            raise Conflict(f"{doing}: {volume.name} is encrypted.", hint="Define the guest with virsh.")
        return
    pool = _pool(host, disk.pool, doing)
    if Volume.objects.filter(pool=pool, name=disk.name).exists():
        raise Conflict(f"{doing}: {pool.name} has a volume {disk.name} already.", hint="Choose it, or another name.")


def _volume(host: Host, named: VolumeNamed, doing: str) -> Volume:
    volume = Volume.objects.select_related("pool__host").filter(pool__host=host, pool__name=named.pool, name=named.name)
    if found := volume.first():
        _pool(host, named.pool, doing)
        return found
    raise InvalidInput(f"{doing}: it has no volume {named.name} in {named.pool}.")


def _pool(host: Host, name: str, doing: str) -> Pool:
    pool = Pool.objects.filter(host=host, name=name).first()
    if pool is None:
        raise InvalidInput(f"{doing}: it has no pool {name}.")
    if pool.state != Pool.State.RUNNING:
        raise Conflict(f"{doing}: the pool {name} is {pool.get_state_display()}.", hint="Start the pool first.")
    return pool
