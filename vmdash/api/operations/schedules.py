"""Schedules by which snapshots are taken, and which of them are kept."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status
from pydantic import StringConstraints

from domains.snapshots.models import SnapshotKind, SnapshotSchedule
from domains.snapshots.schedules import services
from domains.snapshots.schedules.forms import KEEPS, ScheduleForm, tags_for
from domains.snapshots.schedules.overview import State, state_of, states_of
from domains.snapshots.schedules.page import SchedulePage, schedule_page
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.guests import find_guest
from vmdash.api.shapes import Input, Line, Paging, Window, same_named
from vmdash.exceptions import InvalidInput

router = Router(tags=["snapshots"])

Every = SnapshotSchedule.Every
Time = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
_PLAIN = ("name", "kind", "quiesce", "every", "weekday", *KEEPS)


class Trouble(Schema):
    guest: str
    problem: str


class Schedule(Schema):
    id: int
    name: str
    guest: UUID | None = Field(description="Of this guest alone; or else `tag`.")
    guest_name: str
    tag: str
    kind: str
    quiesce: bool
    every: str = Field(description="hour, day or week.")
    at: str = Field(description="HH:MM, in the time zone of the site.")
    weekday: int = Field(description="0: Monday.")
    keep_last: int
    keep_hourly: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    enabled: bool
    rhythm: str = Field(description="In words.")
    rules: str = Field(description="In words: “the last 3, 7 daily”.")
    guests: int
    next_at: datetime | None
    last_at: datetime | None
    taken: int = Field(description="Snapshots of the last time.")
    problems: list[Trouble] = Field(description="Of the last time.")
    undeleted: int = Field(description="Snapshots that should be gone, and could not be deleted.")

    @classmethod
    def fields_of(cls, state: State) -> dict[str, Any]:
        row = state.schedule
        return {
            **same_named(row, *_PLAIN, "enabled"),
            **same_named(state, "rhythm", "rules", "guests", "next_at", "last_at", "taken", "undeleted"),
            "id": row.pk,
            "guest": row.domain_id,
            "guest_name": row.domain.name if row.domain else "",
            "tag": row.tag.name if row.tag else "",
            "at": f"{row.at:%H:%M}",
            "problems": [Trouble(guest=guest, problem=words) for guest, words in state.problems],
        }


class Kept(Schema):
    """A snapshot that it took and that is there."""

    uuid: UUID
    guest: str
    name: str
    due_at: datetime
    size_bytes: int | None
    stays: bool
    why: list[str] = Field(description="The rules that keep it, or why none does.")
    waiting: str = Field(description="Why one that should be gone is there still.")


class ScheduleInFull(Schedule):
    obstacles: list[str] = Field(description="Guests of which it could take nothing now, and why.")
    snapshots: list[Kept]


class ScheduleChange(Input):
    """What is left out stays as it is."""

    name: Line = Field("", description="The snapshots are called after it.")
    guest: UUID | None = Field(None, description="Of this guest alone; or else `tag`.")
    tag: Line = Field("", description="All guests that have it, also those that get it later.")
    kind: SnapshotKind = SnapshotKind.DISKS
    quiesce: bool = True
    every: Every = Every.DAY
    at: Time = Field("02:00", description="Of an hourly one only the minute counts.")
    weekday: int = Field(6, ge=0, le=6, description="Of a weekly one. 0: Monday.")
    keep_last: int = Field(3, ge=0, le=100)
    keep_hourly: int = Field(0, ge=0, le=100)
    keep_daily: int = Field(7, ge=0, le=100)
    keep_weekly: int = Field(4, ge=0, le=100)
    keep_monthly: int = Field(0, ge=0, le=100)
    enabled: bool = True


class NewSchedule(ScheduleChange):
    name: Line = Field(description="The snapshots are called after it.")


@router.get("", response=Window[Schedule])
@allow(Permission.VIEW)
def list_schedules(request: SignedInRequest, paging: Query[Paging]) -> Window[Schedule]:
    found = SnapshotSchedule.objects.visible_to(request.user).select_related("tag", "domain")
    states = states_of(list(paging.of(found)), timezone.now())
    return Window[Schedule].out_of([Schedule(**Schedule.fields_of(one)) for one in states], found.count(), paging)


@router.post("", response={201: Schedule})
@allow(Permission.SNAPSHOT)
@once
def add_schedule(request: SignedInRequest, wish: NewSchedule) -> Status[Schedule]:
    """Of one guest or of a tag."""
    return Status(201, _saved(request, SnapshotSchedule(), wish, wish.dict()))


@router.get("/{int:schedule}", response=ScheduleInFull)
@allow(Permission.VIEW)
def get_schedule(request: SignedInRequest, schedule: int) -> ScheduleInFull:
    """With which of its snapshots stay and which go, and why."""
    page = schedule_page(_find(request, schedule), request.user, timezone.now())
    return ScheduleInFull(**Schedule.fields_of(page.state), obstacles=page.obstacles, snapshots=_kept(page))


@router.patch("/{int:schedule}", response=Schedule)
@allow(Permission.SNAPSHOT)
def change_schedule(request: SignedInRequest, schedule: int, wish: ScheduleChange) -> Schedule:
    """When its times change they count from now on. Disabled, it takes and deletes nothing."""
    found = _find(request, schedule, Permission.SNAPSHOT)
    told = wish.dict(exclude_unset=True)
    before = {
        **same_named(found, *_PLAIN, "at", "enabled"),
        "guest": None if told.get("tag") else found.domain_id,
        "tag": found.tag.name if found.tag and not told.get("guest") else "",
    }
    return _saved(request, found, wish, before | told)


@router.delete("/{int:schedule}", response={204: None})
@allow(Permission.SNAPSHOT)
def remove_schedule(request: SignedInRequest, schedule: int) -> Status[None]:
    """Its snapshots stay, as ones that nobody prunes."""
    services.remove(schedule=_find(request, schedule, Permission.SNAPSHOT), user=request.user)
    return Status(204, None)


def _saved(request: SignedInRequest, found: SnapshotSchedule, wish: ScheduleChange, sent: dict[str, Any]) -> Schedule:
    """As the form of the page would be sent; `enabled` has a button of its own there."""
    enabled = sent.pop("enabled")
    only_switched = found.pk and wish.model_fields_set == {"enabled"}
    with transaction.atomic():
        if not only_switched:
            chosen = {"guest": _guest(request, sent["guest"]), "tag": _tag(request, sent["tag"])}
            form = ScheduleForm(request.user, sent | chosen, instance=found)
            checked(form)
            found = services.save(schedule=form.save(commit=False), user=request.user)
        services.set_enabled(schedule=found, enabled=enabled, user=request.user)
    return Schedule(**Schedule.fields_of(state_of(_find(request, found.pk), timezone.now())))


def _guest(request: SignedInRequest, uuid: UUID | None) -> str:
    return str(find_guest(request, uuid, Permission.SNAPSHOT).pk) if uuid else ""


def _tag(request: SignedInRequest, name: str) -> object:
    """What the form knows it by."""
    if not name:
        return ""
    found = tags_for(request.user).filter(name=name).first()
    if found is None:
        raise InvalidInput(f"There is no tag “{name}” that you may choose.")
    return found.pk


def _find(request: SignedInRequest, pk: int, permission: Permission | None = None) -> SnapshotSchedule:
    """Raises Http404, and PermissionDenied for who sees it and lacks `permission` to it."""
    rows = SnapshotSchedule.objects.visible_to(request.user).select_related("tag", "domain")
    found = get_object_or_404(rows, pk=pk)
    if permission:
        check(request, permission, found)
    return found


def _kept(page: SchedulePage) -> list[Kept]:
    return [
        Kept(
            uuid=guest.domain.pk,
            guest=guest.domain.name,
            name=line.run.snapshot_name,
            due_at=line.run.due_at,
            size_bytes=line.size_bytes,
            stays=line.stays,
            why=list(line.verdict.kept_as or line.verdict.goes_because),
            waiting=waiting,
        )
        for guest in page.guests
        for line, waiting in guest.lines
    ]
