"""The job `host.balance`: places guests of a host, each by a `domain.place` job of its own.

It works on these itself, one after the other, so it does not wait for other workers. One that was interrupted goes on
where it stopped; while it is not known what came of a placement, it waits without holding a worker. When it is
cancelled, what is placed stays so.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from domains.models import Domain
from vmdash.exceptions import Conflict, NotFound, NotPermitted, Unavailable, VmdashError
from vmdash.jobs import execution
from vmdash.jobs import services as jobs
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.xml.placement import Placement

TIME_LIMIT_S = 3600


def _run(ctx: JobContext) -> Result:
    """Raises Conflict with the guests for which it failed, Interrupted."""
    moves = ctx.parameters["moves"]
    failed = []
    for number, move in enumerate(moves):
        ctx.phase(f"{number} of {len(moves)} guests are through")
        ctx.progress(100 * number // len(moves))
        if error := _place(ctx, move):
            failed.append(f"{move['name']}: {error}")
    ctx.progress(100)
    if failed:
        undoes = "undoes" in moves[0]
        others = "The others are put back." if undoes else "The others are placed; the page of the host undoes that."
        raise Conflict(
            f"{len(failed)} of {len(moves)} guests could not be {'put back' if undoes else 'placed'}. {failed[0]}",
            hint=others if len(failed) < len(moves) else "",
            detail="\n".join(failed),
        )
    return {"placed": [move["name"] for move in moves]}


def _place(ctx: JobContext, move: dict[str, Any]) -> str:
    """Why it failed; empty where it did not. Raises Interrupted: OutcomeUnknown while its host does not answer."""
    ctx.check()
    try:
        part = ctx.job.children.filter(target_id=move["guest"]).first() or _begin(ctx.job, move)
    except VmdashError as error:
        return str(error)
    execution.execute(part)
    # Another worker may be at work on it.
    ctx.wait_until(lambda: not _is_under_way(part), timeout_s=TIME_LIMIT_S)
    if part.state in Job.UNFINISHED:
        raise OutcomeUnknown(_not_known(part))
    return "" if part.state == Job.State.SUCCEEDED else part.error or part.state_words


def _begin(job: Job, move: dict[str, Any]) -> Job:
    from domains.numa import services

    user = job.requested_by
    if user is None:
        raise NotPermitted("Who asked for this is not known to vmdash any more.")
    domain = Domain.objects.visible_to(user).select_related("host").filter(pk=move["guest"]).first()
    if domain is None or str(domain.host_id) != job.target_id:
        raise NotFound(f"It is not on {job.target_name} any more.")
    if "after" in move:
        return services.place_as_part(domain=domain, placement=Placement.of(move["after"]), user=user, parent=job)
    last = services.last_place(domain)
    if last is None or str(last.pk) != move["undoes"]:
        raise Conflict("It was placed anew meanwhile, and is left so.")
    return services.undo(domain=domain, user=user, parent=job)


def _is_under_way(part: Job) -> bool:
    """A worker has it, or one will."""
    part.refresh_from_db()
    return part.state in (Job.State.QUEUED, Job.State.RUNNING)


def _not_known(part: Job) -> str:
    return f"It waits for “{part.label}” to be cleared up."


def _reconcile(ctx: JobContext) -> Outcome:
    """Go on, or end where somebody cancelled it: a placement that has begun comes to its own end.

    Raises:
        Unavailable: it is not known yet what came of a placement. Otherwise as `_run`.
    """
    if ctx.job.cancel_requested_at:
        for part in ctx.job.children.filter(state=Job.State.QUEUED):
            with suppress(Conflict):  # it has just begun
                jobs.cancel(job=part, user=None)
        return Outcome(Job.State.CANCELLED, "It was interrupted, and then cancelled. What is placed stays so.")
    if lost := ctx.job.children.filter(state=Job.State.LOST).first():
        raise Unavailable(_not_known(lost))
    ctx.log("It was interrupted; going on where it stopped")
    try:
        _run(ctx)
    except OutcomeUnknown as error:
        raise Unavailable(str(error)) from error
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and then came to its end.")


BALANCE = register(
    Kind(
        name="host.balance",
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=TIME_LIMIT_S,
    )
)
