"""The NUMA cells of a host are brought into balance."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from ninja import Field, Router, Schema, Status

from domains.numa.balance import services
from domains.numa.balance.plan import may_balance, plan_balance
from hosts.models import Host as Row
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.once import once
from vmdash.api.operations.hosts import find_host
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, same_named
from vmdash.jobs.selectors import job_row

router = Router(tags=["hosts"])


class PlannedPlacement(Schema):
    """`now` and `then` are pinning and memory policy in words."""

    uuid: UUID
    guest: str
    cell: int
    now: str
    then: str


class CellChange(Schema):
    """CPU used, percent of the cell's."""

    number: int
    before: float
    after: float = Field(description="About.")


class LeftAlone(Schema):
    uuid: UUID
    guest: str
    why: str


class BalancePlan(Schema):
    finding: str = Field(description="What is wrong; empty: nothing is known to be.")
    moves: list[PlannedPlacement]
    cells: list[CellChange]
    staying: list[LeftAlone]
    obstacle: str = Field(description="Why nothing can be done; empty: it can.")
    can_undo: bool = Field(description="There is a balancing with guests of yours that are still as it placed them.")
    last: Job | None = Field(description="That one; null: there is none, or it is not for you to see.")


class PlacementWish(Input):
    uuid: UUID
    cell: int = Field(ge=0, le=100_000)


class BalanceWish(Input):
    moves: list[PlacementWish] = Field(max_length=500, description="Such as those of the plan.")


@router.get("/{host}/balance", response=BalancePlan)
@allow(Permission.OPERATE)
def plan_of_balance(request: SignedInRequest, host: Line) -> BalancePlan:
    """Which guests would be placed in which cell, so that no cell is busy while another has much to spare."""
    found = _find(request, host)
    plan = plan_balance(found, request.user)
    undoable = services.undoable(found, request.user)
    last = undoable.job_for(request.user) if undoable else None
    return BalancePlan(
        finding=plan.finding.headline if plan.finding else "",
        moves=[
            PlannedPlacement(uuid=one.guest.pk, guest=one.guest.name, **same_named(one, "cell", "now", "then"))
            for one in plan.moves
        ],
        cells=[CellChange(**same_named(one, *CellChange.model_fields)) for one in plan.cells],
        staying=[LeftAlone(uuid=one.guest.pk, guest=one.guest.name, why=one.why) for one in plan.staying],
        obstacle=plan.obstacle,
        can_undo=undoable is not None,
        last=Job.of(job_row(last, request.user)) if last else None,
    )


@router.post("/{host}/balance", response={202: Job})
@allow(Permission.OPERATE)
@once
def balance_host(request: SignedInRequest, host: Line, wish: BalanceWish) -> Status[Job]:
    """Place these guests of the host, by one job. Pinning holds at once. A guest that its memory policy keeps in
    another cell is placed only if its host moves its memory, too."""
    cells = {one.uuid: one.cell for one in wish.moves}
    return asked_for(request, services.balance(host=_find(request, host), cells=cells, user=request.user))


@router.post("/{host}/balance/undo", response={202: Job})
@allow(Permission.OPERATE)
@once
def undo_balance(request: SignedInRequest, host: Line) -> Status[Job]:
    """Set again what held before the last balancing, for guests that nobody has placed since."""
    return asked_for(request, services.undo(host=_find(request, host), user=request.user))


def _find(request: SignedInRequest, name: str) -> Row:
    """Raises Http404, and PermissionDenied for who may operate no guest on it."""
    host = find_host(request, name)
    if not may_balance(host, request.user):
        raise PermissionDenied(f"You may not {Permission.OPERATE.label}.")
    return host
