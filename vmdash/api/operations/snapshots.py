"""Snapshots of guests."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from domains.models import Domain
from domains.snapshots import services
from domains.snapshots.forms import DeleteForm, FlattenForm, RevertForm, TakeForm
from domains.snapshots.models import Snapshot as Row
from domains.snapshots.models import SnapshotKind
from domains.snapshots.page import state_words
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.guests import find_guest
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.shapes import Input, Line, same_named
from vmdash.exceptions import InvalidInput

router = Router(tags=["snapshots"])


class Snapshot(Schema):
    id: int
    name: str
    parent: str
    description: str
    created_at: datetime | None
    guest_was: str
    kind: str = Field(description="In words.")
    current: bool
    memory: bool
    size_bytes: int | None
    quiesced: bool | None
    half_merged: bool = Field(description="Deleting it was begun and not finished: it is of no use any more.")

    @classmethod
    def of(cls, row: Row) -> "Snapshot":
        plain = (
            "name", "description", "created_at", "current", "memory", "size_bytes", "quiesced", "half_merged",
        )  # fmt: skip
        return cls(
            **same_named(row, *plain),
            id=row.pk,
            parent=row.parent_name,
            guest_was=state_words(row),
            kind=row.kind_words,
        )


class TakeWish(Input):
    kind: Literal["disks", "files", "internal"] = Field(
        "disks", description="disks: no memory; files: memory in a file; internal: all inside of the images."
    )
    note: Line = ""
    quiesce: bool = Field(True, description="Freeze the file systems meanwhile, for `disks`.")


class RevertWish(Input):
    confirm: Line = Field(description="The name of the guest: what it has written since is lost.")
    afterwards: Literal["as_it_was", "running", "paused", "off"] = "as_it_was"
    first: bool = Field(False, description="Keep what it is now as a snapshot first.")
    keep: bool = Field(False, description="Keep the files with what was written since; of external ones.")


class FlattenWish(Input):
    most_mib_s: int | None = Field(None, ge=1, le=100_000, description="No faster than.")


class DeleteWish(FlattenWish):
    forget: bool = Field(False, description="Only forget it, and keep its files; of external ones.")


@router.get("/{uuid:uuid}/snapshots", response=list[Snapshot])
@allow(Permission.VIEW)
def list_snapshots(request: SignedInRequest, uuid: UUID) -> list[Snapshot]:
    guest = find_guest(request, uuid)
    return [Snapshot.of(row) for row in Row.objects.visible_to(request.user).filter(domain=guest)]


@router.post("/{uuid:uuid}/snapshots", response={202: Job})
@allow(Permission.SNAPSHOT)
@once
def take_snapshot(request: SignedInRequest, uuid: UUID, wish: TakeWish) -> Status[Job]:
    guest = find_guest(request, uuid, Permission.SNAPSHOT)
    form = TakeForm(guest, wish.dict())
    found = checked(form)
    job = services.take(
        domain=guest,
        user=request.user,
        kind=SnapshotKind(found["kind"]),
        note=found["note"],
        quiesce=form.asks_to_quiesce,
    )
    return asked_for(request, job)


@router.post("/{uuid:uuid}/snapshots/{int:snapshot}/revert", response={202: Job})
@allow(Permission.SNAPSHOT)
@once
def revert_to_snapshot(request: SignedInRequest, uuid: UUID, snapshot: int, wish: RevertWish) -> Status[Job]:
    guest = find_guest(request, uuid, Permission.SNAPSHOT)
    row = _snapshot(request, guest, snapshot)
    _refuse_external_only(row, keep=wish.keep)
    found = checked(RevertForm(guest, row, wish.dict()))
    return asked_for(request, services.revert(domain=guest, snapshot=row, user=request.user, **found))


@router.delete("/{uuid:uuid}/snapshots/{int:snapshot}", response={202: Job})
@allow(Permission.SNAPSHOT)
def delete_snapshot(request: SignedInRequest, uuid: UUID, snapshot: int, wish: Query[DeleteWish]) -> Status[Job]:
    """What came after it stays; its overlays are merged into what is below them."""
    guest = find_guest(request, uuid, Permission.SNAPSHOT)
    row = _snapshot(request, guest, snapshot)
    _refuse_external_only(row, forget=wish.forget)
    form = DeleteForm(guest, row, wish.dict())
    found = checked(form)
    job = services.delete(
        domain=guest,
        snapshot=row,
        user=request.user,
        forget=found.get("forget", False),
        most_bytes_per_s=form.most_bytes_per_s,
    )
    return asked_for(request, job)


@router.post("/{uuid:uuid}/flatten", response={202: Job})
@allow(Permission.SNAPSHOT)
@once
def flatten_guest(request: SignedInRequest, uuid: UUID, wish: FlattenWish) -> Status[Job]:
    """Copy what is below its disks into them, so that they stand alone."""
    guest = find_guest(request, uuid, Permission.SNAPSHOT)
    form = FlattenForm(wish.dict())
    checked(form)
    return asked_for(request, services.flatten(domain=guest, user=request.user, most_bytes_per_s=form.most_bytes_per_s))


def _snapshot(request: SignedInRequest, guest: Domain, pk: int) -> Row:
    return get_object_or_404(Row.objects.visible_to(request.user), pk=pk, domain=guest)


def _refuse_external_only(row: Row, **asked: bool) -> None:
    for name, wanted in asked.items():
        if wanted and not row.external:
            raise InvalidInput(f"`{name}` is for external snapshots; {row.name} is inside of the images.")
