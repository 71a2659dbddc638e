"""Guests: found with the search language of the page, and what is done to them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from domains import notes, selectors, services, tagging
from domains.actions import possible
from domains.figures import sample_of
from domains.forms import NoteForm, TagsForm
from domains.models import Domain
from domains.rows import guest_row
from domains.search import LONGEST, parse
from domains.services import MOST_AT_ONCE
from domains.steal.over_time import cpu_charts
from domains.table import Sort
from domains.timeline.charts import guest_charts
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission, can
from vmdash.api.charts import Charts, Range, charts_over
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, Paging, Window, moment, same_named
from vmdash.jobs.selectors import job_row
from vmdash.live import cache
from vmdash.live.messages import GuestRow, GuestSample

router = Router(tags=["guests"])


class GuestFigures(Schema):
    """The newest; unknown is null. Percent are of its vCPUs."""

    measured_at: datetime | None
    cpu_percent: float | None
    steal_percent: float | None
    steal_of_worst_vcpu_percent: float | None
    memory_used_kib: int | None = Field(description="Inside of the guest, as its balloon tells.")
    memory_of_host_kib: int | None
    disk_read_bytes_per_s: float | None
    disk_written_bytes_per_s: float | None
    network_received_bytes_per_s: float | None
    network_sent_bytes_per_s: float | None


class Guest(Schema):
    uuid: UUID
    name: str
    title: str
    host: str
    host_answers: bool = Field(description="False: all of this is what was true when it last did.")
    state: str
    state_words: str
    reason: str
    since: datetime
    since_is_known: bool = Field(description="False: it has been so at least since then.")
    vcpus: int
    memory_kib: int
    addresses: list[str]
    tags: list[str]
    autostart: bool
    agent: str
    split_brain: bool = Field(description="It runs on two hosts at once.")
    template: bool
    doing: str = Field(description="What is being done to it now: “Starting”.")
    figures: GuestFigures | None = Field(description="null while it is off, or nothing is known.")


class Choice(Schema):
    key: str
    label: str
    possible: bool
    reason: str = Field(description="Why it is not possible now.")
    loses: str = Field(description="What it destroys. Then `confirm` must be the guest's name.")


class Disk(Schema):
    target: str
    bus: str
    device: str
    source: str
    format: str
    readonly: bool


class Interface(Schema):
    mac: str
    model: str
    kind: str
    source: str


class LoggedIn(Schema):
    name: str
    since: str | None


class GuestInFull(Guest):
    description: str
    owner: str
    note: str
    persistent: bool
    has_managed_save: bool
    has_serial: bool
    max_vcpus: int
    max_memory_kib: int
    arch: str
    machine: str
    os_name: str
    disks: list[Disk]
    interfaces: list[Interface]
    logged_in: list[LoggedIn] | None = Field(description="As the guest agent told last; null: not known.")
    actions: list[Choice]


class GuestFilters(Paging):
    q: str = Field("", max_length=LONGEST, description="The search language of the guests page: `host:kvm1 steal>5`.")
    sort: str = Field(
        "name",
        max_length=20,
        description="name, state, host, memory, vcpus, since, cpu or steal; `-cpu`: largest first.",
    )


class GuestChange(Input):
    """What is left out stays as it is."""

    tags: list[Line] | None = Field(None, max_length=30)
    owner: Line | None = None
    note: Line | None = None


class ActionWish(Input):
    action: Line = Field(description="A key of `actions` of the guest, such as start, shutdown or reboot.")
    confirm: Line = Field("", description="The guest's name, for what destroys something.")


class BulkWish(Input):
    action: Line
    guests: Annotated[list[UUID], Field(min_length=1, max_length=MOST_AT_ONCE)]
    confirm: Line = Field("", description="How many guests they are, for what destroys something.")


class BulkResult(Schema):
    """A job, or why there is none."""

    uuid: UUID
    name: str
    job: Job | None
    error: str
    hint: str


class CpuRange(Range):
    part: str = Field("overview", pattern="^(overview|cpu)$", description="`cpu`: who takes its CPU time, and where.")


@router.get("", response=Window[Guest])
@allow(Permission.VIEW)
def list_guests(request: SignedInRequest, filters: Query[GuestFilters]) -> Window[Guest]:
    found = selectors.window(request.user, parse(filters.q), Sort.parse(filters.sort), filters.offset, filters.limit)
    guests = [
        Guest(**_fields(line.row, line.answers, line.sample, line.tick["at"] if line.tick else None))
        for line in found.lines
    ]
    return Window[Guest].out_of(guests, found.total, filters)


@router.post("/actions", response=list[BulkResult])
@allow(Permission.VIEW)
@once
def act_on_guests(request: SignedInRequest, wish: BulkWish) -> list[BulkResult]:
    """The same action for many guests, each on its own. Those that you may not see are not found."""
    results = services.act_on_many(uuids=wish.guests, action=wish.action, user=request.user, confirm=wish.confirm)
    return [
        BulkResult(
            uuid=one.uuid,
            name=one.name,
            job=Job.of(job_row(one.job, request.user)) if one.job else None,
            error=one.error.message if one.error else "",
            hint=one.error.hint if one.error else "",
        )
        for one in results
    ]


@router.get("/{uuid:uuid}", response=GuestInFull)
@allow(Permission.VIEW)
def get_guest(request: SignedInRequest, uuid: UUID) -> GuestInFull:
    return _in_full(request, find_guest(request, uuid))


@router.patch("/{uuid:uuid}", response=GuestInFull)
@allow(Permission.OPERATE)
def change_guest(request: SignedInRequest, uuid: UUID, wish: GuestChange) -> GuestInFull:
    """Its tags, whose it is, and what to know before it is stopped."""
    found = find_guest(request, uuid, Permission.OPERATE)
    if wish.tags is not None:
        tags = checked(TagsForm({"tags": " ".join(wish.tags)}))
        tagging.set_tags(domain=found, names=tags["tags"], user=request.user)
    if wish.owner is not None or wish.note is not None:
        texts = {name: getattr(wish if getattr(wish, name) is not None else found, name) for name in ("owner", "note")}
        notes.set_note(domain=found, user=request.user, **checked(NoteForm(texts)))
    return _in_full(request, find_guest(request, uuid))


@router.get("/{uuid:uuid}/metrics", response=Charts)
@allow(Permission.VIEW)
def get_guest_metrics(request: SignedInRequest, uuid: UUID, over: Query[CpuRange]) -> Charts:
    """Its charts in figures."""
    found = find_guest(request, uuid)
    if over.part == "cpu":
        return charts_over(over, lambda window: cpu_charts(found, request.user, window))
    return charts_over(over, lambda window: guest_charts(found, window))


@router.get("/{uuid:uuid}/xml", response={200: str})
@allow(Permission.VIEW)
def get_guest_xml(request: SignedInRequest, uuid: UUID) -> str:
    """Its definition, without secrets, as a JSON text."""
    found = find_guest(request, uuid)
    if not found.xml:
        raise Http404("The definition of this guest has not been read yet.")
    return found.xml


@router.post("/{uuid:uuid}/actions", response={202: Job})
@allow(Permission.VIEW)
@once
def act_on_guest(request: SignedInRequest, uuid: UUID, wish: ActionWish) -> Status[Job]:
    """Have something done to it; the answer is the job. Starting a guest that runs succeeds."""
    job = services.act(domain=find_guest(request, uuid), action=wish.action, user=request.user, confirm=wish.confirm)
    return asked_for(request, job)


def find_guest(request: SignedInRequest, uuid: UUID, permission: Permission | None = None) -> Domain:
    """Raises Http404, and PermissionDenied for who sees it and lacks `permission` to it."""
    found = get_object_or_404(Domain.objects.visible_to(request.user).select_related("host__site"), pk=uuid)
    if permission:
        check(request, permission, found)
    return found


def _fields(row: GuestRow, answers: bool, sample: GuestSample | None, measured_at: int | None) -> dict[str, Any]:
    plain = (
        "uuid", "name", "title", "state", "reason", "vcpus", "memory_kib", "addresses", "tags", "autostart", "agent",
        "split_brain", "template",
    )  # fmt: skip
    return {
        **{name: row[name] for name in plain},  # type: ignore[literal-required]
        "host": row["host_name"],
        "host_answers": answers,
        "state_words": row["state_label"],
        "since": moment(row["since"]),
        "since_is_known": row["since_known"],
        "doing": row["job"],
        "figures": _figures(sample, measured_at) if sample else None,
    }


def _figures(sample: GuestSample, measured_at: int | None) -> GuestFigures:
    return GuestFigures(
        measured_at=moment(measured_at),
        cpu_percent=sample["cpu"],
        steal_percent=sample["steal"],
        steal_of_worst_vcpu_percent=sample["steal_max"],
        memory_used_kib=sample["mem"],
        memory_of_host_kib=sample["rss"],
        disk_read_bytes_per_s=sample["rd"],
        disk_written_bytes_per_s=sample["wr"],
        network_received_bytes_per_s=sample["rx"],
        network_sent_bytes_per_s=sample["tx"],
    )


def _in_full(request: SignedInRequest, guest: Domain) -> GuestInFull:
    ticks = cache.ticks([guest.host_id])
    tick = ticks.get(guest.host_id)
    sample = sample_of(ticks, guest.host_id, guest.pk) if guest.is_active else None
    answers = guest.host.enabled and guest.host.state == guest.host.State.UP
    plain = (
        "description", "owner", "note", "persistent", "has_managed_save", "has_serial", "max_vcpus", "max_memory_kib",
        "arch", "machine", "os_name", "logged_in",
    )  # fmt: skip
    return GuestInFull(
        **_fields(guest_row(guest), answers, sample, tick["at"] if tick else None),
        **same_named(guest, *plain),
        disks=[Disk(**_known(Disk, disk)) for disk in guest.disks],
        interfaces=[Interface(**_known(Interface, card)) for card in guest.interfaces],
        actions=[
            Choice(
                key=choice.action.key,
                label=choice.action.label,
                possible=choice.possible,
                reason=choice.reason,
                loses=choice.action.loses,
            )
            for choice in possible(guest, request.user)
            if can(request.user, choice.action.permission, guest)
        ],
    )


def _known(shape: type[Schema], row: dict[str, Any]) -> dict[str, Any]:
    """What of a JSON column is shown; what an older row does not have is empty."""
    empty = {str: "", bool: False}
    return {
        name: row.get(name) if row.get(name) is not None else empty[field.annotation]  # type: ignore[index]
        for name, field in shape.model_fields.items()
    }
