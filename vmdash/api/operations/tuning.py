"""What guests are given: vCPUs, memory, shares of CPU time, limits of their disks."""

from typing import Annotated
from uuid import UUID

from django.http import QueryDict
from ninja import Field, Router, Schema, Status

from domains.actions import host_obstacle
from domains.models import Domain
from domains.tuning import services
from domains.tuning.forms import MOST_LIMIT, field_name
from domains.tuning.page import plan_of
from domains.tuning.selectors import definition_of, known_of, last_tune
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.guests import find_guest
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line
from vmdash.exceptions import InvalidInput
from vmdash.jobs.selectors import job_row
from vmdash.virt.xml.tuning import Tuning as Values

router = Router(tags=["guests"])

Limit = Annotated[int, Field(ge=0, le=MOST_LIMIT)]


class Tuned(Schema):
    vcpus: int | None
    memory_kib: int | None
    cpu_shares: int | None = Field(description="0: as its host gives to all.")
    disks: dict[str, dict[str, int]] = Field(description="The limits of each disk, per second. What is left out: none.")
    groups: dict[str, str] = Field(
        description="The group of each disk that is in one: its disks share their limits, which hold for all together."
    )

    @classmethod
    def of(cls, values: Values) -> "Tuned":
        return cls(
            vcpus=values.vcpus,
            memory_kib=values.memory_kib,
            cpu_shares=values.cpu_shares,
            disks={target: dict(limits) for target, limits in values.disks.items()},
            groups=dict(values.groups),
        )


class Tuning(Schema):
    now: Tuned
    next: Tuned | None = Field(description="At its next start, as its definition says; null: not read yet.")
    max_vcpus: int
    max_memory_kib: int
    obstacle: str = Field(description="Why nothing can be set now.")
    last: Job | None = Field(description="The last change, which can be undone.")
    came_of_it: list[str] = Field(description="What the guest made of the last change.")


class DiskLimits(Input):
    """Bytes or operations per second. 0: none. All together, or reads and writes apart. What is left out stays.

    Those of a disk in a group are set on all disks of the group, so no two of them are given different ones. One that
    has none any more leaves it."""

    total_bytes_sec: Limit | None = None
    read_bytes_sec: Limit | None = None
    write_bytes_sec: Limit | None = None
    total_iops_sec: Limit | None = None
    read_iops_sec: Limit | None = None
    write_iops_sec: Limit | None = None


class TuneWish(Input):
    """What is left out stays as it is."""

    vcpus: int | None = Field(None, ge=1, le=10_000)
    memory_kib: int | None = Field(None, ge=1, le=1 << 50)
    cpu_shares: int | None = Field(None, ge=0, le=262_144, description="0: as its host gives to all.")
    disks: dict[Line, DiskLimits] = Field({}, max_length=64, description="By disk, such as vda.")


@router.get("/{uuid:uuid}/tuning", response=Tuning)
@allow(Permission.OPERATE)
def get_tuning(request: SignedInRequest, uuid: UUID) -> Tuning:
    guest = find_guest(request, uuid, Permission.OPERATE)
    then, last = definition_of(guest), last_tune(guest)
    undoable = last if last and "before" in last.parameters else None
    return Tuning(
        now=Tuned.of(known_of(guest, then)),
        next=Tuned.of(then) if then else None,
        max_vcpus=guest.max_vcpus,
        max_memory_kib=guest.max_memory_kib,
        obstacle=host_obstacle(guest.host),
        last=Job.of(job_row(undoable, request.user)) if undoable else None,
        came_of_it=[line.text for line in last.lines.all()] if last else [],
    )


@router.post("/{uuid:uuid}/tuning", response={202: Job})
@allow(Permission.OPERATE)
@once
def tune_guest(request: SignedInRequest, uuid: UUID, wish: TuneWish) -> Status[Job]:
    """Have it get this, at once and at its next start."""
    guest = find_guest(request, uuid, Permission.OPERATE)
    asked = _asked(guest, wish)
    if not asked:
        raise InvalidInput("Say what it shall get.")
    plan = plan_of(guest, request.user, asked)
    if plan.form.is_valid():
        plan.form.check_said({target: limits.dict(exclude_none=True) for target, limits in wish.disks.items()})
    checked(plan.form)
    return asked_for(request, services.tune(domain=guest, wanted=plan.wanted, user=request.user))


@router.post("/{uuid:uuid}/tuning/undo", response={202: Job})
@allow(Permission.OPERATE)
@once
def undo_tuning(request: SignedInRequest, uuid: UUID) -> Status[Job]:
    """Give it again what it had before the last change."""
    guest = find_guest(request, uuid, Permission.OPERATE)
    return asked_for(request, services.undo(domain=guest, user=request.user))


def _asked(guest: Domain, wish: TuneWish) -> QueryDict:
    """As the form of the page would be sent. Raises InvalidInput: it has no such disk."""
    asked = QueryDict(mutable=True)
    if wish.vcpus is not None:
        asked["vcpus"] = str(wish.vcpus)
    if wish.memory_kib is not None:
        asked["memory"] = f"{wish.memory_kib} KiB"
    if wish.cpu_shares is not None:
        asked["cpu_shares"] = str(wish.cpu_shares or "")
    disks = known_of(guest, None).disks
    if unknown := wish.disks.keys() - disks.keys():
        raise InvalidInput(f"{guest.name} has no disk with limits called {', '.join(sorted(unknown))}.")
    for target, limits in wish.disks.items():
        for key, value in limits.dict(exclude_none=True).items():
            unit = " B" if "bytes" in key else ""
            asked[field_name(target, key)] = f"{value}{unit}" if value else ""
    return asked
