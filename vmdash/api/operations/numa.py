"""Where guests are in the NUMA cells of their hosts."""

from uuid import UUID

from ninja import Field, Query, Router, Schema, Status

from domains.numa import services
from domains.numa.page import place_page
from domains.numa.selectors import misplaced_on, numa_part
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.once import once
from vmdash.api.operations.guests import find_guest
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, Paging, Window, same_named
from vmdash.exceptions import InvalidInput
from vmdash.jobs.selectors import job_row
from vmdash.live import cache

router = Router(tags=["guests"])

_CELL = "The number of a cell; `free`: anywhere; empty: what puts right what is wrong."


class NumaCell(Schema):
    number: int
    cpus: list[int]
    memory_kib: int
    free_kib: int | None = Field(
        description="Null: not known, or not for you to see. Memory that holds cached files is not counted as free."
    )
    distances: list[int]


class PlacedVcpu(Schema):
    """Where it was seen last; null where that is not known."""

    number: int
    cpu: int | None
    cell: int | None
    away: bool = Field(description="Not where the memory comes from.")
    pinned: str = Field(description="In words; empty: it may run anywhere.")


class NumaFinding(Schema):
    kind: str = Field(description="away or spread.")
    headline: str
    advice: str


class MisplacedGuest(Schema):
    uuid: UUID
    guest: str
    host: str
    finding: NumaFinding


class Placing(Schema):
    """`before` and `after` are words."""

    cells: list[NumaCell]
    vcpus: list[PlacedVcpu]
    finding: NumaFinding | None = Field(description="What is wrong with where it runs.")
    before: str = Field(description="What its definition says.")
    after: str = Field(description="What would be set; empty: nothing, and `obstacle` says why.")
    obstacle: str
    policy_waits: bool = Field(description="The memory policy would hold from its next start only.")
    policy_moves: bool = Field(
        description="Its host would be asked to move its memory at once; where it refuses, the policy holds from its "
        "next start."
    )
    warning: str = Field(description="The cell may be too full; empty: not known to be.")
    last: Job | None = Field(description="The last placement, which can be undone.")


class CellAsked(Schema):
    cell: Line = Field("", description=_CELL)


class PlaceWish(Input):
    cell: Line = Field("", description=_CELL)


@router.get("/misplaced", response=Window[MisplacedGuest])
@allow(Permission.VIEW)
def list_misplaced_guests(request: SignedInRequest, paging: Query[Paging]) -> Window[MisplacedGuest]:
    """Those that run where they should not, on hosts with several cells."""
    found = misplaced_on(request.user, list(Host.objects.visible_to(request.user)))
    guests = [
        MisplacedGuest(
            uuid=one.guest.pk,
            guest=one.guest.name,
            host=one.guest.host.name,
            finding=NumaFinding(**same_named(one.finding, *NumaFinding.model_fields)),
        )
        for one in paging.of(found)
    ]
    return Window[MisplacedGuest].out_of(guests, len(found), paging)


@router.get("/{uuid:uuid}/placement", response=Placing)
@allow(Permission.OPERATE)
def get_placement(request: SignedInRequest, uuid: UUID, asked: Query[CellAsked]) -> Placing:
    """Where it is, what is wrong with that, and what would be set."""
    guest = find_guest(request, uuid, Permission.OPERATE)
    page = place_page(guest, asked.cell, request.user)
    if isinstance(page.refused, InvalidInput):
        raise page.refused
    part = numa_part(guest, cache.ticks([guest.host_id]).get(guest.host_id))
    return Placing(
        cells=[NumaCell(**same_named(cell, *NumaCell.model_fields)) for cell in page.cells],
        vcpus=[PlacedVcpu(**same_named(one, *PlacedVcpu.model_fields)) for one in part.vcpus],
        finding=NumaFinding(**same_named(page.finding, *NumaFinding.model_fields)) if page.finding else None,
        **same_named(page, "before", "after", "obstacle", "policy_waits", "policy_moves", "warning"),
        last=Job.of(job_row(part.undoes, request.user)) if part.undoes else None,
    )


@router.post("/{uuid:uuid}/placement", response={202: Job})
@allow(Permission.OPERATE)
@once
def place_guest(request: SignedInRequest, uuid: UUID, wish: PlaceWish) -> Status[Job]:
    """Pinning holds at once, a new memory policy from its next start unless its mode is restrictive."""
    guest = find_guest(request, uuid, Permission.OPERATE)
    return asked_for(request, services.place(domain=guest, choice=wish.cell, user=request.user))


@router.post("/{uuid:uuid}/placement/undo", response={202: Job})
@allow(Permission.OPERATE)
@once
def undo_placement(request: SignedInRequest, uuid: UUID) -> Status[Job]:
    """Set again what held before the last placement."""
    guest = find_guest(request, uuid, Permission.OPERATE)
    return asked_for(request, services.undo(domain=guest, user=request.user))
