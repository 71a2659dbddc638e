"""The jobs `host.drain` and `host.return`. One that was interrupted goes on where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from domains.draining.carrying import Carrying
from domains.draining.models import Drain, DrainedGuest, How, is_done
from domains.models import Domain
from hosts.maintenance import change
from hosts.models import Host
from vmdash.exceptions import Conflict, NotFound
from vmdash.jobs.context import Cancelled, Interrupted, JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register

if TYPE_CHECKING:
    from collections.abc import Sequence

TIME_LIMIT_S = 7 * 24 * 3600

Maintenance = Host.Maintenance
Came = DrainedGuest.Outcome


def _run(ctx: JobContext) -> Result:
    """Raises Conflict with the guests for which it failed, Interrupted."""
    returning = ctx.job.kind == RETURN.name
    drain = _drain_of(ctx.job)
    try:
        Carrying(ctx, drain, returning=returning).run()
    except Cancelled:
        insist(lambda: _put_back(drain, returning))
        raise
    except Interrupted:
        raise  # whoever takes over goes on
    except Exception:
        insist(lambda: _put_back(drain, returning))
        raise
    steps = insist(lambda: list(drain.guests.filter(returning=returning)))
    failed = [step for step in steps if step.outcome in (Came.FAILED, Came.CANCELLED)]
    if not returning and (late := insist(lambda: _came_meanwhile(drain, steps))):
        ctx.log(f"Came to {drain.host.name} meanwhile, and left there: {', '.join(late)}")
    insist(lambda: _return_ends(drain, failed) if returning else _drain_ends(drain))
    if failed:
        reasons = [f"{step.name}: {step.error or step.get_outcome_display()}" for step in failed]
        done = "come back" if returning else f"leave {drain.host.name}"
        raise Conflict(
            f"{len(failed)} of {len(steps)} guests did not {done}. {reasons[0]}",
            hint="Its page tells what became of each; ask for it once more when the cause is gone.",
            detail="\n".join(reasons),
        )
    return {str(how): [step.name for step in steps if step.how == how and step.outcome == Came.DONE] for how in How}


def _reconcile(ctx: JobContext) -> Outcome:
    """Go on. Raises Interrupted; Conflict, as `_run`."""
    ctx.log("It was interrupted; going on where it stopped")
    _run(ctx)
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and then came to its end.")


def _drain_of(job: Job) -> Drain:
    drain = insist(Drain.objects.select_related("host").filter(pk=job.parameters["drain"]).first)
    if drain is None:
        raise NotFound(f"{job.target_name} is not in the inventory any more.")
    return drain


def _came_meanwhile(drain: Drain, steps: Sequence[DrainedGuest]) -> list[str]:
    known = [step.uuid for step in steps]
    return list(Domain.objects.present().filter(host=drain.host).exclude(pk__in=known).values_list("name", flat=True))


def _drain_ends(drain: Drain) -> None:
    change(drain.host, [Maintenance.DRAINING], Maintenance.MAINTENANCE)


@transaction.atomic
def _return_ends(drain: Drain, failed: Sequence[DrainedGuest]) -> None:
    """The maintenance is over, unless somebody should look at what did not come back."""
    if failed:
        change(drain.host, [Maintenance.RETURNING], Maintenance.MAINTENANCE)
    elif change(drain.host, [Maintenance.RETURNING], Maintenance.NONE):
        Drain.objects.open().filter(pk=drain.pk).update(ended_at=timezone.now())


@transaction.atomic
def _put_back(drain: Drain, returning: bool) -> None:
    """After a cancel: in maintenance, where guests have left; in use as before, where nothing was done yet."""
    drain.guests.filter(returning=returning, outcome=Came.PLANNED).update(outcome=Came.CANCELLED)
    if returning:
        change(drain.host, [Maintenance.RETURNING], Maintenance.MAINTENANCE)
        return
    touched = drain.guests.filter(is_done() | Q(outcome=Came.BEGUN, job__state__in=Job.UNFINISHED), returning=False)
    if touched.exists():
        change(drain.host, [Maintenance.DRAINING], Maintenance.MAINTENANCE)
    elif change(drain.host, [Maintenance.DRAINING], Maintenance.NONE):
        Drain.objects.open().filter(pk=drain.pk).update(ended_at=timezone.now())


def _changed(job: Job) -> None:
    """One that was cancelled before a worker took it has nobody else to put the host back."""
    if job.state == Job.State.CANCELLED and job.started_at is None:
        drain = Drain.objects.select_related("host").filter(pk=job.parameters["drain"]).first()
        if drain is not None:
            _put_back(drain, job.kind == RETURN.name)


DRAIN = register(
    Kind(
        name="host.drain",
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=TIME_LIMIT_S,
        on_change=_changed,
    )
)
RETURN = register(
    Kind(
        name="host.return",
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=TIME_LIMIT_S,
        on_change=_changed,
    )
)
