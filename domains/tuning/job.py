"""The job `domain.tune`: gives a guest more or less, at once and in its definition, and says what the guest made of it.
Another one undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.action_jobs import show_job
from domains.actions import host_obstacle
from domains.live_guest import live, target_of
from domains.tuning.words import memory_answer, vcpu_answer
from vmdash.exceptions import Unavailable
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Queue, Result, register
from vmdash.virt.errors import HostError
from vmdash.virt.xml.tuning import Tunings

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.virt.guest import Guest

PATIENCE_S = 12
"""How long a guest may take to give memory back, before what it has then is said to be its answer."""


def _run(ctx: JobContext) -> Result:
    if reason := host_obstacle(target_of(ctx.job).host):
        raise Unavailable(f"{ctx.job.label} is not possible: {reason}")
    try:
        _apply(ctx)
    except HostError as error:
        raise OutcomeUnknown(error.message) from error
    return {}


def _apply(ctx: JobContext) -> None:
    from vmdash.virt import tuning

    wanted = Tunings.of(ctx.parameters["after"])
    with live(target_of(ctx.job)) as (connection, guest):
        if "before" not in ctx.parameters:
            ctx.note(before=tuning.read(guest).about(wanted).stored())
        tuning.apply(connection, guest, wanted, Tunings.of(ctx.parameters["before"]))
        _log_answer(ctx, guest, wanted)


def _log_answer(ctx: JobContext, guest: Guest, wanted: Tunings) -> None:
    """What libvirt reports afterwards: a guest need not do what it is asked to."""
    from vmdash.virt import tuning

    if not guest.is_active():
        ctx.log("It holds from its next start.")
        return
    now = wanted.now
    if now.memory_kib is not None:
        ctx.phase("Waiting for the guest to take or give back memory")
        ctx.wait_until(lambda: guest.facts().memory_kib == now.memory_kib, timeout_s=PATIENCE_S)
        ctx.log(memory_answer(now.memory_kib, guest.facts().memory_kib))
    if now.vcpus is not None:
        ctx.log(vcpu_answer(now.vcpus, guest.facts().vcpus, tuning.online_inside(guest)))
    if now.disks:
        ctx.log("The limits hold at once.")
    if now.cpu_shares:
        ctx.log(f"Its CPU shares are {now.cpu_shares} now.")
    elif now.cpu_shares == 0:
        ctx.log(
            "It keeps the shares that it has until its next start: which ones all others get, libvirt does not tell."
        )


def _reconcile(ctx: JobContext) -> Outcome:
    """Setting it once more does no harm, so it is simply finished. Raises Unavailable."""
    if reason := host_obstacle(target_of(ctx.job).host):
        raise Unavailable(reason)
    _apply(ctx)
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and then done to its end.")


def _again(job: Job, user: User) -> Job:
    from domains.tuning import services

    return services.again(job=job, user=user)


TUNE = register(
    Kind(
        name="domain.tune",
        run=_run,
        reconcile=_reconcile,
        queue=Queue.ACTIONS,
        exclusive=True,
        time_limit_s=120,
        on_change=show_job,
        again=_again,
    )
)
