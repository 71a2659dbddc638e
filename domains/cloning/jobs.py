"""`domain.clone`: one clone of a guest, by a worker; and what came of one whose worker died."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from domains.action_jobs import show_job
from domains.cloning import making, source
from domains.cloning.making import Clone
from domains.cloning.source import FROZEN
from domains.models import Domain
from vmdash.exceptions import Conflict, NotFound, VmdashError
from vmdash.jobs.context import Cancelled, JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import HostError

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

CLONE = "domain.clone"
PART_OF_MANY = "held_by_parent"
"""The parameter of a clone whose source the parent job keeps still: `{target: {"base", "overlay"}}`."""
TIME_LIMIT_S = 24 * 3600


def source_of(job: Job) -> Domain:
    """Raises NotFound."""
    domain = Domain.objects.select_related("host__credential").filter(pk=job.target_id).first()
    if domain is None:
        raise NotFound(f"Cannot clone {job.target_name}: it is not in the inventory any more.")
    return domain


def is_part(job: Job) -> bool:
    return PART_OF_MANY in job.parameters


def has_begun(job: Job) -> bool:
    """Whether it may have left something on a host."""
    return any(job.parameters.get(name) for name in ("begun", FROZEN, "nvram"))


def _run(ctx: JobContext) -> Result:
    try:
        return _clone(ctx)
    except HostError as error:
        if has_begun(ctx.job):
            raise OutcomeUnknown(error.message) from error
        raise


def _clone(ctx: JobContext) -> Result:
    domain, clone = source_of(ctx.job), Clone.of(ctx.job.parameters)
    if clone.linked and not domain.is_template:
        raise Conflict(f"Cannot make a linked clone of {domain.name}: it is no template any more.")
    if is_part(ctx.job):
        _make(ctx, domain, clone)
    else:
        making.check(clone, source.read(domain.host, str(domain.uuid), {}))
        with source.kept_still(ctx, domain):
            _make(ctx, domain, clone)
    ctx.let_go()
    if clone.start:
        ctx.phase(f"Starting {clone.name}")
        _start(clone)
    return {"uuid": clone.uuid, "name": clone.name, "host": clone.host.name}


def _frozen(ctx: JobContext) -> Mapping[str, Any]:
    """The overlays that the source is on: because of this job, or of the one that it is a part of."""
    parameters = ctx.job.parameters
    frozen: Mapping[str, Any] = parameters.get(PART_OF_MANY) or parameters.get(FROZEN) or {}
    return frozen


def _make(ctx: JobContext, domain: Domain, clone: Clone) -> None:
    """Disks first, the definition last. Of one that fails or is cancelled nothing is left."""
    found = source.read(domain.host, str(domain.uuid), _frozen(ctx))
    if is_part(ctx.job):
        making.check(clone, found)
    try:
        ctx.check()
        making.make_disks(ctx, found, clone)
        ctx.check()
        making.define(ctx, found, clone)
    except HostError:
        raise
    except (Cancelled, VmdashError):
        ctx.phase("Removing what was made")
        making.remove(ctx, clone)
        raise


def _start(clone: Clone) -> None:
    try:
        making.start(clone)
    except VmdashError as error:
        raise Conflict(
            f"{clone.name} is made, but it does not start. {error.message}", hint=getattr(error, "hint", "")
        ) from error


def _reconcile(ctx: JobContext) -> Outcome:
    """Finish what only lacks its last step, undo everything else; and bring the source back in any case.

    Raises:
        Unavailable: a host cannot be asked now.
    """
    domain, clone = source_of(ctx.job), Clone.of(ctx.job.parameters)
    if making.is_defined(clone):
        making.tidy(ctx, clone)
        outcome = _made(ctx, clone)
    elif not has_begun(ctx.job):
        outcome = Outcome(Job.State.FAILED, "It was interrupted before anything was made. Ask for it anew.")
    else:
        outcome = _finish_or_undo(ctx, domain, clone)
    if not is_part(ctx.job):
        source.release(ctx, domain.host, str(domain.uuid))
    return outcome


def _finish_or_undo(ctx: JobContext, domain: Domain, clone: Clone) -> Outcome:
    wanted = ctx.job.cancel_requested_at is None
    if wanted and making.is_complete(ctx, domain.host, clone):
        try:
            found = source.read(domain.host, str(domain.uuid), _frozen(ctx))
            making.copy_nvram(ctx, found, clone)
            making.define(ctx, found, clone)
            making.tidy(ctx, clone)
            return _made(ctx, clone)
        except HostError:
            raise
        except VmdashError as error:
            ctx.log(error.message)
    making.remove(ctx, clone)
    return Outcome(Job.State.FAILED, f"It was interrupted before {clone.name} was complete; what was made is removed.")


def _made(ctx: JobContext, clone: Clone) -> Outcome:
    if clone.start and ctx.job.cancel_requested_at is None:
        try:
            making.start(clone)
        except HostError:
            raise
        except VmdashError as error:
            return Outcome(Job.State.FAILED, f"{clone.name} is made, but it does not start. {error.message}")
    return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but {clone.name} is complete.")


def again(job: Job, user: User) -> Job:
    """The same once more, with everything checked anew."""
    from domains.cloning import services

    return services.again(job=job, user=user)


CLONE_KIND = register(
    Kind(
        name=CLONE,
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=TIME_LIMIT_S,
        on_change=show_job,
        again=again,
    )
)
