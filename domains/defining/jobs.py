"""`domain.define`: a new guest, by a worker; and what came of one whose worker died."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from domains.action_jobs import show_job
from domains.defining.wish import VolumeNamed, Wish, machine_type
from hosts.connect import connected
from hosts.models import Host
from storage import copying, undoing, volume_guards
from storage.inventory import record_volume
from storage.models import Pool
from vmdash.exceptions import Conflict, NotFound, VmdashError
from vmdash.jobs.context import Cancelled, JobContext
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import AlreadyExists, GuestNotFound, HostError
from vmdash.virt.xml.new_guest import NewDisk, NewGuest
from vmdash.virt.xml.volume import VolumeSpec

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.virt.connection import HostConnection


def _host(ctx: JobContext) -> Host:
    host = Host.objects.select_related("credential").filter(pk=ctx.parameters["host"]).first()
    if host is None:
        raise NotFound(f"{ctx.job.label}: the host is not in the inventory any more.")
    return host


def _run(ctx: JobContext) -> Result:
    host, wish = _host(ctx), Wish.of(ctx.parameters)
    try:
        with undoing.left_open(ctx), connected(host) as connection:
            _check(connection, wish)
            disks = _disks(ctx, host, connection, wish)
            ctx.check()
            ctx.phase(f"Defining {wish.name}")
            connection.define(_definition(ctx, host, wish, disks))
    except HostError:
        raise
    except (VmdashError, Cancelled):
        _remove(ctx)
        raise
    ctx.let_go()
    if wish.start:
        ctx.phase(f"Starting {wish.name}")
        _start(ctx, host, wish)
    return {"uuid": ctx.parameters["uuid"], "name": wish.name, "host": host.name}


def _check(connection: HostConnection, wish: Wish) -> None:
    with suppress(GuestNotFound):
        connection.guest_named(wish.name)
        raise AlreadyExists.because(f"make {wish.name}", connection.name, reason="there is a guest of that name")
    if wish.network:
        connection.network(wish.network)


def _disks(ctx: JobContext, host: Host, connection: HostConnection, wish: Wish) -> tuple[NewDisk, ...]:
    """What it starts from, in that order: an empty disk has nothing to start, so the medium is tried before it."""
    disks = []
    if wish.disk and wish.disk.new_bytes:
        disks.append(_make(ctx, host, connection, wish.disk))
    elif wish.disk:
        pool = connection.pool(wish.disk.pool)
        volume = pool.volume(wish.disk.name)
        volume_guards.refuse_use(connection, pool, volume, f"Cannot use {volume.name}", also_off=True)
        disks.append(_disk(connection, wish.disk))
    if wish.medium:
        medium = _disk(connection, wish.medium, cdrom=True)
        disks.insert(0 if wish.disk and wish.disk.new_bytes else len(disks), medium)
    return tuple(disks)


def _make(ctx: JobContext, host: Host, connection: HostConnection, disk: VolumeNamed) -> NewDisk:
    ctx.phase(f"Making {disk.name} in {disk.pool}")
    pool = connection.pool(disk.pool)
    undoing.refuse_existing(pool, disk.name)
    has_files = pool.facts().type in copying.FILE_POOLS
    spec = VolumeSpec(
        disk.name,
        disk.new_bytes,
        format="qcow2" if has_files else "",
        allocation_bytes=0 if has_files else None,
    )
    with undoing.begun(ctx, host, disk.pool, disk.name):
        pool.create_volume(spec)
    if row := Pool.objects.filter(host=host, name=disk.pool).first():
        record_volume(row, pool.volume(disk.name).definition())
    return _disk(connection, disk)


def _disk(connection: HostConnection, named: VolumeNamed, *, cdrom: bool = False) -> NewDisk:
    definition = connection.pool(named.pool).volume(named.name).definition()
    format = definition.format if definition.format not in ("", "iso") else "raw"
    return NewDisk(definition.path, format, block=definition.kind == "block", cdrom=cdrom)


def _definition(ctx: JobContext, host: Host, wish: Wish, disks: tuple[NewDisk, ...]) -> str:
    return NewGuest(
        name=wish.name,
        uuid=ctx.parameters["uuid"],
        type=machine_type(host),
        arch=host.arch or "x86_64",
        vcpus=wish.vcpus,
        memory_kib=wish.memory_bytes // 1024,
        disks=disks,
        title=wish.title,
        network=wish.network,
        mac=ctx.parameters["mac"],
        efi=wish.efi,
    ).to_xml()


def _start(ctx: JobContext, host: Host, wish: Wish) -> None:
    try:
        with connected(host) as connection:
            guest = connection.guest(ctx.parameters["uuid"])
            if not guest.is_active():
                guest.start()
    except HostError:
        raise
    except VmdashError as error:
        raise Conflict(
            f"{wish.name} is made, but it does not start. {error.message}", hint=getattr(error, "hint", "")
        ) from error


def _remove(ctx: JobContext) -> None:
    """The disk that this job has begun to make; nothing else of it is there before the definition, its last step."""
    if ctx.parameters.get("begun"):
        ctx.phase("Removing what was made")
        undoing.remove_begun(ctx)


def _reconcile(ctx: JobContext) -> Outcome:
    """A guest that is defined is complete; of any other one nothing stays.

    Raises:
        Unavailable: the host cannot be asked now.
    """
    host, wish = _host(ctx), Wish.of(ctx.parameters)
    with connected(host) as connection:
        try:
            connection.guest(ctx.parameters["uuid"])
        except GuestNotFound:
            _remove(ctx)
            return Outcome(Job.State.FAILED, f"It was interrupted before {wish.name} was defined; nothing of it stays.")
    if wish.start and ctx.job.cancel_requested_at is None:
        try:
            _start(ctx, host, wish)
        except Conflict as error:
            return Outcome(Job.State.FAILED, error.message)
    return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but {wish.name} is complete.")


def _again(job: Job, user: User) -> Job:
    from domains.defining import services

    host = Host.objects.visible_to(user).filter(pk=job.parameters["host"]).first()
    if host is None:
        raise NotFound(f"{job.label}: the host is not in the inventory any more.")
    return services.define(host=host, wish=Wish.of(job.parameters), user=user)


DEFINE = register(
    Kind(
        name="domain.define",
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=1800,
        on_change=show_job,
        again=_again,
    )
)
