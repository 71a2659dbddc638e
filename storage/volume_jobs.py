"""What is done to volumes, as job kinds. `storage.volume_services` asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hosts.connect import connected
from storage import copying, undoing, volume_guards, volume_rows
from storage.host_call import HostCall
from storage.models import Pool, VolumeSecret
from storage.undoing import Fate
from vmdash import formats
from vmdash.exceptions import Conflict, NotFound, Unavailable, VmdashError
from vmdash.jobs.context import Cancelled, JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import CallError, HostError, VolumeNotFound
from vmdash.virt.xml.volume import VolumeSpec, WipeAlgorithm

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.volume import Volume

DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class VolumeAt:
    """A volume that a job is about, whether it is there or not."""

    pool: Pool
    name: str


def at(ctx: JobContext) -> VolumeAt:
    """The job's target. Raises NotFound when its pool is not known any more."""
    pool = Pool.objects.select_related("host__credential").filter(pk=ctx.parameters["pool"]).first()
    if pool is None:
        raise NotFound(f"{ctx.job.label}: its pool is not in the inventory any more.")
    return VolumeAt(pool, ctx.parameters["name"])


def spec_of(parameters: Any) -> VolumeSpec:
    """The volume to be made, out of a job's parameters."""
    fields = ("name", "capacity_bytes", "format", "allocation_bytes", "backing_path", "backing_format")
    return VolumeSpec(
        **{name: parameters[name] for name in fields if name in parameters},
        encryption_secret=parameters.get("secret", ""),
    )


# Making


def _run_create(ctx: JobContext) -> Result:
    target, spec = at(ctx), spec_of(ctx.parameters)
    host = target.pool.host
    with _tidy_secret(ctx, target), undoing.left_open(ctx), connected(host) as connection:
        pool = connection.pool(target.pool.name)
        undoing.refuse_existing(pool, spec.name)
        _give_secret(connection, ctx)
        copying.make(
            ctx,
            host,
            pool,
            spec.name,
            lambda own: own.pool(target.pool.name).create_volume(spec),
            total_bytes=max(1, spec.allocation_bytes or 0),
            phase=f"Making it on {host.name}",
        )
        volume_rows.reread(connection, target.pool, spec.name)
    return {}


def _run_copy(ctx: JobContext) -> Result:
    target, spec = at(ctx), spec_of(ctx.parameters)
    source = ctx.parameters["source_name"]
    with _tidy_secret(ctx, target), undoing.left_open(ctx):
        with connected(target.pool.host) as connection:
            _give_secret(connection, ctx)
        copying.copy_volume(
            ctx,
            target.pool.host,
            ctx.parameters["source_pool"],
            source,
            target.pool.name,
            spec,
            phase=f"Copying {source} on {target.pool.host.name}",
        )
        with connected(target.pool.host) as connection:
            volume_rows.reread(connection, target.pool, spec.name)
    return {}


def settle_made(ctx: JobContext) -> Outcome:
    """For interrupted jobs that make a volume: it stays when it is known to be whole, and goes otherwise."""
    target = at(ctx)
    host, pool, name = target.pool.host, target.pool.name, target.name
    fate = undoing.settle(ctx, host, pool, name)
    if fate is Fate.COMPLETE and not ctx.job.cancel_requested_at:
        with connected(host) as connection:
            volume_rows.reread(connection, target.pool, name)
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but {host.name} finished it: {name} is there.")
    undoing.remove_begun(ctx)
    forget_secret(ctx, target)
    words = "nothing was made" if fate is Fate.ABSENT else "what was there of it is deleted"
    return Outcome(Job.State.FAILED, f"It was interrupted: {words}. Try again.")


def _give_secret(connection: HostConnection, ctx: JobContext) -> None:
    """Have the host know the passphrase before it makes an encrypted volume."""
    if uuid := ctx.parameters.get("secret"):
        secret = VolumeSecret.objects.filter(pk=uuid).first()
        if secret is None:
            raise NotFound("The passphrase of the new volume is not stored any more.", hint="Ask for it anew.")
        connection.set_volume_secret(uuid, f"vmdash {uuid}", secret.passphrase)


@contextmanager
def _tidy_secret(ctx: JobContext, target: VolumeAt) -> Iterator[None]:
    """When nothing was made, nothing remembers its passphrase."""
    try:
        yield
    except (VmdashError, Cancelled):
        with suppress(HostError):
            forget_secret(ctx, target)
        raise


def forget_secret(ctx: JobContext, target: VolumeAt) -> None:
    """Raises HostError."""
    if uuid := ctx.parameters.get("secret"):
        with connected(target.pool.host) as connection, suppress(CallError):
            connection.forget_volume_secret(uuid)
        VolumeSecret.objects.filter(pk=UUID(uuid)).delete()


# Changing


@contextmanager
def _changing(ctx: JobContext, doing: str, *, also_off: bool = False) -> Iterator[tuple[HostConnection, Volume]]:
    """The live volume, if nobody uses it; its row is brought up to date afterwards."""
    target = at(ctx)
    with connected(target.pool.host) as connection:
        pool = connection.pool(target.pool.name)
        volume = pool.volume(target.name)
        volume_guards.refuse_use(connection, pool, volume, doing, also_off=also_off)
        try:
            yield connection, volume
            volume_rows.reread(connection, target.pool, target.name)
        except HostError as error:
            raise OutcomeUnknown(error.message) from error


def _on_host(ctx: JobContext, target: VolumeAt, call: Callable[[Volume], None]) -> None:
    """Do what blocks and cannot be stopped, while the job stays alive."""
    work = HostCall(target.pool.host, lambda own: call(own.pool(target.pool.name).volume(target.name)))
    ctx.wait_until(work.ended.is_set, timeout_s=DAY_S)
    work.raise_error()


def _run_resize(ctx: JobContext) -> Result:
    target, wanted = at(ctx), ctx.parameters["capacity_bytes"]
    with _changing(ctx, f"Cannot resize {target.name}") as (_, volume):
        now = volume.use().capacity_bytes
        if wanted < now and not ctx.parameters["shrink"]:
            raise Conflict(
                f"Cannot make {target.name} smaller than it is, {formats.size(now)}, without being told so.",
                hint="What is behind its new end would be lost. Say that it may shrink.",
            )
        ctx.phase(f"From {formats.size(now)} to {formats.size(wanted)}")
        _on_host(ctx, target, lambda live: live.resize(wanted, shrink=wanted < now))
    return {}


def _settle_resize(ctx: JobContext) -> Outcome:
    target = at(ctx)
    with connected(target.pool.host) as connection:
        now = connection.pool(target.pool.name).volume(target.name).use().capacity_bytes
        volume_rows.reread(connection, target.pool, target.name)
    if now == ctx.parameters["capacity_bytes"]:
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but it came about: it has {formats.size(now)}.")
    return Outcome(Job.State.FAILED, f"It was interrupted before it came about: it has {formats.size(now)}. Try again.")


def _run_wipe(ctx: JobContext) -> Result:
    target = at(ctx)
    with _changing(ctx, f"Cannot wipe {target.name}", also_off=True):
        ctx.phase(f"Overwriting it on {target.pool.host.name}; this cannot be stopped")
        algorithm = WipeAlgorithm(ctx.parameters["algorithm"])
        _on_host(ctx, target, lambda live: live.wipe(algorithm))
    return {}


def _settle_wipe(ctx: JobContext) -> Outcome:
    return Outcome(
        Job.State.RECONCILED, "It was interrupted: perhaps not all of it is overwritten. Wipe it again to be certain."
    )


def _run_delete(ctx: JobContext) -> Result:
    target = at(ctx)
    try:
        with _changing(ctx, f"Cannot delete {target.name}", also_off=True) as (own, volume):
            secret = volume.definition().secret_uuid
            volume.delete()
            if secret and VolumeSecret.objects.filter(pk=UUID(secret)).delete()[0]:
                own.forget_volume_secret(secret)
    except VolumeNotFound:  # somebody was quicker
        volume_rows.forget(target.pool, target.name)
    return {}


def _settle_delete(ctx: JobContext) -> Outcome:
    target = at(ctx)
    with connected(target.pool.host) as connection:
        volume_rows.reread(connection, target.pool, target.name)
    if target.pool.volumes.filter(name=target.name).exists():
        return Outcome(Job.State.FAILED, f"It was interrupted: {target.name} is still there. Try again.")
    return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but {target.name} is gone.")


def _again(job: Job, user: User) -> Job:
    from storage import volume_services

    return volume_services.again(job=job, user=user)


def _register(
    name: str, run: Callable[[JobContext], Result], settle: Callable[[JobContext], Outcome], **more: Any
) -> Kind:
    return register(
        Kind(name=name, run=run, reconcile=_asking(settle), exclusive=True, time_limit_s=DAY_S, again=_again, **more)
    )


def _asking(settle: Callable[[JobContext], Outcome]) -> Callable[[JobContext], Outcome]:
    """A volume that is gone, or a pool that is stopped, is no reason to ask for ever."""

    def asked(ctx: JobContext) -> Outcome:
        try:
            return settle(ctx)
        except Unavailable:
            raise
        except VmdashError as error:
            return Outcome(Job.State.FAILED, f"It was interrupted. {error}"[:500])

    return asked


CREATE = _register("volume.create", _run_create, settle_made, cancellable=True)
CLONE = _register("volume.clone", _run_copy, settle_made, cancellable=True)
CONVERT = _register("volume.convert", _run_copy, settle_made, cancellable=True)
RESIZE = _register("volume.resize", _run_resize, _settle_resize)
WIPE = _register("volume.wipe", _run_wipe, _settle_wipe)
DELETE = _register("volume.delete", _run_delete, _settle_delete)
