"""The job `domain.place`: sets the pinning and memory policy of a guest, and can be undone by another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.action_jobs import show_job
from domains.actions import host_obstacle
from domains.live_guest import live, target_of
from vmdash.exceptions import Unavailable
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Queue, Result, register
from vmdash.virt.errors import HostError
from vmdash.virt.xml.placement import Placement

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.virt.placement import Applied


WITH_MEMORY = "with_memory"
"""Parameter: nothing is to be done where the memory of a guest that runs would be left in other cells."""


def _run(ctx: JobContext) -> Result:
    domain = target_of(ctx.job)
    if reason := host_obstacle(domain.host):
        raise Unavailable(f"{ctx.job.label} is not possible: {reason}")
    try:
        _apply(ctx)
    except HostError as error:
        raise OutcomeUnknown(error.message) from error
    return {}


def words_of(applied: Applied) -> list[str]:
    """What came about, in sentences."""
    if not applied.running:
        return ["It holds from its next start."]
    words = ["It is pinned so from now on."]
    if applied.memory_moves:
        words.append(
            "Its memory comes from the new cells from now on, and the host moves there what it has, as far as it can; "
            "how far that is, libvirt does not tell."
        )
    elif applied.policy_waits:
        if applied.refused:
            words.append(f"{applied.refused.message} {applied.refused.detail}".strip())
        kept = "the new policy is in its definition and holds from its next start."
        if not applied.persistent:
            kept = "the guest is transient, and has no definition in which a new policy could wait."
        words.append(f"Its memory stays where it is: {kept}")
    return words


def _apply(ctx: JobContext) -> None:
    """Do it, and log what came about."""
    from vmdash.virt import placement

    domain = target_of(ctx.job)
    with live(domain) as (connection, guest):
        if "before" not in ctx.parameters:
            # What an undo brings back: its definition, which is what people wrote.
            ctx.note(before=Placement.parse(guest.xml(inactive=True)).stored())
        wanted, with_memory = Placement.of(ctx.parameters["after"]), ctx.parameters.get(WITH_MEMORY, False)
        applied = placement.apply(connection, guest, wanted, with_memory=with_memory)
    for line in words_of(applied):
        ctx.log(line)


def _reconcile(ctx: JobContext) -> Outcome:
    """Setting it once more does no harm, so it is simply finished. Raises Unavailable."""
    domain = target_of(ctx.job)
    if reason := host_obstacle(domain.host):
        raise Unavailable(reason)
    _apply(ctx)
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and then done to its end.")


def _again(job: Job, user: User) -> Job:
    from domains.numa import services

    return services.again(job=job, user=user)


PLACE = register(
    Kind(
        name="domain.place",
        run=_run,
        reconcile=_reconcile,
        queue=Queue.ACTIONS,
        exclusive=True,
        time_limit_s=60,
        on_change=show_job,
        again=_again,
    )
)
