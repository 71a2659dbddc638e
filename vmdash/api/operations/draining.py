"""Hosts are drained for their maintenance, and their guests brought back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ninja import Field, Query, Router, Schema, Status

from domains.draining import services
from domains.draining.back import plan_return
from domains.draining.forms import PolicyForm
from domains.draining.models import DrainedGuest, Fallback
from domains.draining.plan import Plan, Policy, Step, plan_drain
from domains.draining.record import maintenance_of
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.hosts import Host, find_host, shown
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line
from vmdash.jobs.models import Job as JobRow
from vmdash.jobs.selectors import job_row

router = Router(tags=["hosts"])


class PlannedStep(Schema):
    """What happens to one guest, and why."""

    uuid: UUID
    guest: str
    how: str = Field(description="move_live, move_off, save, shutdown, leave, restore or start.")
    target: str = Field(description="The host that it moves to.")
    why: str
    cannot_move: bool
    checked_at: datetime | None = Field(description="When a check of this move found nothing in the way.")

    @classmethod
    def of(cls, step: Step) -> "PlannedStep":
        return cls(
            uuid=step.guest.pk,
            guest=step.guest.name,
            how=step.how.value,
            target=step.target.name if step.target else "",
            why=step.why,
            cannot_move=step.cannot_move,
            checked_at=step.checked_at,
        )


class NoTarget(Schema):
    """A host that no guest can be moved to."""

    host: str
    reason: str


class PlanShown(Schema):
    """Steps in the order in which they are begun."""

    mark: str = Field(description="Of this plan: send it to have exactly this done.")
    summary: str = Field(description="“5 guests move, 1 is saved”.")
    obstacles: list[str] = Field(description="Why it cannot begin; empty: it can.")
    steps: list[PlannedStep]
    under_way: Job | None = Field(description="The drain or return of the host that is going on already.")


class DrainPlan(PlanShown):
    unchecked: int = Field(description="Moves that only the inventory speaks for; see the checks.")
    excluded: list[NoTarget]


class ReturnPlan(PlanShown):
    gone: list[str] = Field(description="Names of guests that are not in the inventory any more.")


class PolicyAsked(Schema):
    fallback: Fallback = Field(Fallback.SAVE, description="What becomes of guests that cannot move.")
    strict: bool = Field(False, description="Do not begin if any guest cannot move, also one that is off.")


class MarkWish(Input):
    mark: Line = Field(description="Of the plan that was read. Refused with 409 when it is another one by now.")


class DrainWish(MarkWish):
    fallback: Fallback = Field(Fallback.SAVE, description="As for the plan.")
    strict: bool = False


class ChecksAsked(Schema):
    asked: int
    refused: list[str] = Field(description="For which guests, and why.")


@router.get("/{host}/drain", response=DrainPlan)
@allow(Permission.DRAIN)
def plan_of_drain(request: SignedInRequest, host: Line, policy: Query[PolicyAsked]) -> DrainPlan:
    """What would happen to each guest, by this policy."""
    found = find_host(request, host, Permission.DRAIN)
    plan = plan_drain(found, _policy(policy), request.user)
    return DrainPlan(
        mark=plan.mark,
        summary=plan.summary,
        obstacles=list(plan.obstacles),
        steps=_steps(plan),
        under_way=_under_way(request, services.job_of(found)),
        unchecked=plan.unchecked,
        excluded=[NoTarget(host=one.host.name, reason=one.reason) for one in plan.excluded],
    )


@router.post("/{host}/drain", response={202: Job})
@allow(Permission.DRAIN)
@once
def drain_host(request: SignedInRequest, host: Line, wish: DrainWish) -> Status[Job]:
    """Do what was planned by this policy. The host is closed for guests at once."""
    found = find_host(request, host, Permission.DRAIN)
    job = services.drain(host=found, policy=_policy(wish), mark=wish.mark, user=request.user)
    return asked_for(request, job)


@router.post("/{host}/drain/checks", response={202: ChecksAsked})
@allow(Permission.DRAIN)
@once
def check_drain(request: SignedInRequest, host: Line) -> Status[ChecksAsked]:
    """Have the workers check where each guest can move; the plan then knows more than the inventory."""
    found = find_host(request, host, Permission.DRAIN)
    asked, refused = services.check_moves(host=found, user=request.user)
    return Status(202, ChecksAsked(asked=asked, refused=list(refused)))


@router.get("/{host}/return", response=ReturnPlan)
@allow(Permission.DRAIN)
def plan_of_return(request: SignedInRequest, host: Line) -> ReturnPlan:
    """What would come back, and what is left alone and why. 409 while it is not in maintenance."""
    found = find_host(request, host, Permission.DRAIN)
    plan, gone = plan_return(maintenance_of(found, request.user), request.user)
    return ReturnPlan(
        mark=plan.mark,
        summary=plan.summary,
        obstacles=list(plan.obstacles),
        steps=_steps(plan),
        under_way=_under_way(request, services.job_of(found)),
        gone=_names(gone),
    )


@router.post("/{host}/return", response={202: Job})
@allow(Permission.DRAIN)
@once
def return_guests(request: SignedInRequest, host: Line, wish: MarkWish) -> Status[Job]:
    """Bring them back as planned; then the maintenance ends."""
    found = find_host(request, host, Permission.DRAIN)
    return asked_for(request, services.bring_back(host=found, mark=wish.mark, user=request.user))


@router.post("/{host}/maintenance/end", response=Host)
@allow(Permission.DRAIN)
def end_maintenance(request: SignedInRequest, host: Line) -> Host:
    """Open it for guests again; none is brought back."""
    found = find_host(request, host, Permission.DRAIN)
    services.end_maintenance(host=found, user=request.user)
    return shown(request, found)


def _policy(asked: PolicyAsked | DrainWish) -> Policy:
    form = PolicyForm({"fallback": asked.fallback, "strict": asked.strict})
    checked(form)
    return form.policy()


def _steps(plan: Plan) -> list[PlannedStep]:
    return [PlannedStep.of(step) for step in plan.steps]


def _names(gone: Sequence[DrainedGuest]) -> list[str]:
    return [record.name for record in gone]


def _under_way(request: SignedInRequest, job: JobRow | None) -> Job | None:
    return Job.of(job_row(job, request.user)) if job else None
