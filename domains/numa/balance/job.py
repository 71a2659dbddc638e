"""The job `host.balance`: places guests of a host, each by a `domain.place` job of its own.

It works on these itself, one after the other, so it does not wait for other workers. One that was interrupted goes on
where it stopped.
"""

from __future__ import annotations

from typing import Any

from domains.models import Domain
from vmdash.exceptions import Conflict, NotFound, NotPermitted, VmdashError
from vmdash.jobs import execution
from vmdash.jobs.context import JobContext
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
        raise Conflict(
            f"{len(failed)} of {len(moves)} guests could not be placed. {failed[0]}",
            hint="The others are placed; the page of the host undoes that." if len(failed) < len(moves) else "",
            detail="\n".join(failed),
        )
    return {"placed": [move["name"] for move in moves]}


def _place(ctx: JobContext, move: dict[str, Any]) -> str:
    """Why it failed; empty where it did not."""
    try:
        part = ctx.job.children.filter(target_id=move["guest"]).first() or _begin(ctx.job, move)
    except VmdashError as error:
        return str(error)
    ctx.check()
    execution.execute(part)
    # Another worker may be at work on it, or go on with it once its host answers.
    while not ctx.wait_until(lambda: not _is_unfinished(part), timeout_s=TIME_LIMIT_S):
        pass
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


def _is_unfinished(part: Job) -> bool:
    part.refresh_from_db()
    return part.state in Job.UNFINISHED


def _reconcile(ctx: JobContext) -> Outcome:
    """Go on. Raises as `_run`."""
    ctx.log("It was interrupted; going on where it stopped")
    _run(ctx)
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and then came to its end.")


BALANCE = register(Kind(name="host.balance", run=_run, reconcile=_reconcile, exclusive=True, time_limit_s=TIME_LIMIT_S))
