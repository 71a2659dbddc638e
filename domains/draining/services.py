"""Asking for a drain, for the return of what it moved, and for the end of a maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from domains.draining.back import plan_return
from domains.draining.job import DRAIN, RETURN
from domains.draining.models import Drain, DrainedGuest, How, is_done
from domains.draining.plan import Plan, Policy, Step, plan_drain
from domains.draining.record import away, maintenance_of
from domains.migration import services as migration
from domains.migration.page import targets
from domains.models import Domain
from hosts.maintenance import change
from hosts.models import Host
from vmdash.access.audit import record
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, NotPermitted, VmdashError
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind

if TYPE_CHECKING:
    from vmdash.access.models import User

Maintenance = Host.Maintenance
Outcome = DrainedGuest.Outcome


class PlanChanged(Conflict):
    """What would be done is not what the person was shown."""

    def __init__(self) -> None:
        super().__init__("The plan has changed since it was shown.", hint="Look at it again, then begin.")


def job_of(host: Host) -> Job | None:
    """The drain or return of the host that is under way."""
    kinds = [DRAIN.name, RETURN.name]
    return Job.objects.unfinished().filter(kind__in=kinds, target_kind="host", target_id=str(host.pk)).first()


def drain(*, host: Host, policy: Policy, mark: str, user: User) -> Job:
    """Have the plan carried out that has this mark. The host is closed for guests at once.

    Raises:
        NotPermitted: `user` may not. PlanChanged: it is another plan by now.
        Conflict: it cannot begin, and why; JobInTheWay, when the host is being drained already.
    """
    _check_permitted(user, host, DRAIN)
    plan = plan_drain(host, policy, user)
    _check(f"Cannot drain {host.name}:", plan, mark)
    with transaction.atomic():
        _hold(host)
        opened, _ = Drain.objects.open().get_or_create(
            host=host, defaults={"fallback": policy.fallback, "begun_by_name": user.username}
        )
        Drain.objects.filter(pk=opened.pk).update(fallback=policy.fallback)
        job = jobs.create(
            kind=DRAIN, user=user, target=_target(host), label=f"Drain {host.name}", parameters={"drain": opened.pk}
        )
        _write(opened, plan.steps, user, returning=False)
        change(host, list(Maintenance), Maintenance.DRAINING, by=user.username)
    return job


def bring_back(*, host: Host, mark: str, user: User) -> Job:
    """Have the guests of the record brought back as in the plan that has this mark; then the maintenance ends.

    Raises: as `drain`.
    """
    _check_permitted(user, host, RETURN)
    opened = maintenance_of(host, user)
    plan, _ = plan_return(opened, user)
    _check(f"Cannot bring the guests of {host.name} back:", plan, mark)
    with transaction.atomic():
        _hold(host)
        job = jobs.create(
            kind=RETURN,
            user=user,
            target=_target(host),
            label=f"Return the guests of {host.name}",
            parameters={"drain": opened.pk},
        )
        _write(opened, plan.steps, user, returning=True)
        if not change(host, [Maintenance.MAINTENANCE, Maintenance.DRAINING], Maintenance.RETURNING):
            raise Conflict(f"{host.name} is not in maintenance.")
    return job


@transaction.atomic
def end_maintenance(*, host: Host, user: User) -> None:
    """Open the host for guests again; what was moved or stopped stays so, and the record is closed.

    Raises:
        NotPermitted: `user` may not. Conflict: a drain or return is under way, or there is no maintenance.
    """
    if not can(user, Permission.DRAIN, host):
        record(
            user=user, action="host.end_maintenance", target_kind="host", target_id=host.pk, target_name=host.name,
            refused=True,
        )  # fmt: skip
        raise NotPermitted(f"You may not {Permission.DRAIN.label}.")
    _hold(host)
    if job := job_of(host):
        raise jobs.JobInTheWay(job, user)
    if not host.in_maintenance or not change(host, [Maintenance(host.maintenance)], Maintenance.NONE):
        raise Conflict(f"{host.name} is not in maintenance.")
    Drain.objects.open().filter(host=host).update(ended_at=timezone.now())
    record(
        user=user, action="host.end_maintenance", target_kind="host", target_id=host.pk, target_name=host.name,
    )  # fmt: skip


def check_moves(*, host: Host, user: User) -> tuple[int, Sequence[str]]:
    """Have the workers check where each guest of the host can move: how many were asked for, and what was refused.

    Raises NotPermitted.
    """
    if not can(user, Permission.MIGRATE, host):
        raise NotPermitted(f"You may not {Permission.MIGRATE.label}.")
    asked, refused = 0, []
    for guest in Domain.objects.visible_to(user).filter(host=host).select_related("host"):
        open_to = [target for target in targets(guest, user) if not target.is_closed]
        try:
            migration.request_check(domain=guest, targets=open_to[: migration.MOST_TARGETS], user=user)
            asked += 1
        except VmdashError as error:
            refused.append(f"{guest.name}: {error.message}")
    return asked, refused


def _hold(host: Host) -> None:
    """One at a time for each host, until the end of the transaction. That no job is under way, the job's own
    constraint sees to."""
    held = Host.objects.select_for_update().get(pk=host.pk)
    host.maintenance = held.maintenance


def _check(title: str, plan: Plan, mark: str) -> None:
    if plan.obstacles:
        raise Conflict(f"{title} {' '.join(plan.obstacles)}")
    if plan.mark != mark:
        raise PlanChanged


def _write(opened: Drain, steps: Sequence[Step], user: User, *, returning: bool) -> None:
    """The record, before anything is done. What an earlier job of this maintenance left to do is planned anew."""
    uuids = [step.guest.pk for step in steps]
    begun = opened.guests.filter(outcome=Outcome.BEGUN, job__state__in=Job.UNFINISHED).select_related("job").first()
    if begun and begun.job:  # of a job that ended before its parts
        raise jobs.JobInTheWay(begun.job, user)
    opened.guests.filter(is_done()).update(outcome=Outcome.DONE)
    opened.guests.filter(pk__in=[step.pk for step in away(opened)]).update(outcome=Outcome.DONE, error="")
    undone = [Outcome.PLANNED, Outcome.BEGUN, Outcome.FAILED, Outcome.CANCELLED, Outcome.LEFT]
    opened.guests.filter(returning=returning, outcome__in=undone).delete()
    opened.guests.filter(returning=returning, uuid__in=uuids).delete()
    if not returning:  # who came back once is drained once more
        opened.guests.filter(returning=True, uuid__in=uuids).delete()
    DrainedGuest.objects.bulk_create(
        DrainedGuest(
            drain=opened,
            returning=returning,
            position=number,
            uuid=step.guest.pk,
            name=step.guest.name,
            from_state=step.guest.state,
            how=step.how,
            target=step.target,
            target_name=step.target.name if step.target else "",
            why=step.why[:500],
            outcome=Outcome.LEFT if step.how == How.LEAVE else Outcome.PLANNED,
        )
        for number, step in enumerate(steps)
    )


def _check_permitted(user: User, host: Host, kind: Kind) -> None:
    if can(user, Permission.DRAIN, host):
        return
    record(user=user, action=kind.name, target_kind="host", target_id=host.pk, target_name=host.name, refused=True)
    raise NotPermitted(f"You may not {Permission.DRAIN.label}.")


def _target(host: Host) -> jobs.Target:
    return jobs.Target(kind="host", id=str(host.pk), name=host.name, host_name=host.name)
