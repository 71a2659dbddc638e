"""Uploads and downloads: the transfer gateway carries the content, with tickets that are had here."""

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status

from storage import images, upload_services
from storage.models import Upload as Row
from storage.upload_views import changed_upload, gateway
from storage.volume_forms import ImageUploadForm, UploadForm
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.bearer import shown_in
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.operations.storage import find_pool
from vmdash.api.operations.volumes import find_volume
from vmdash.api.shapes import Input, Line, same_named
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job as JobRow

router = Router(tags=["transfers"])
begun = Router(tags=["transfers"])
"""What begins at a pool or a volume."""


class Upload(Schema):
    id: UUID
    host: str
    pool: str
    volume: str
    file_name: str
    state: str = Field(description="preparing, open (it takes the file), received, or closed: nothing more is taken.")
    size_bytes: int
    received_bytes: int = Field(description="What the host has for certain: the file goes on there.")
    sha256_expected: str
    error: str = Field(description="Why the host refused what came.")
    touched_at: datetime = Field(description="When something came last.")
    job: UUID | None = Field(description="It ends when all has come and was checked, and says whether it went well.")

    @classmethod
    def of(cls, row: Row) -> "Upload":
        plain = (
            "id", "file_name", "state", "size_bytes", "received_bytes", "sha256_expected", "error", "touched_at",
        )  # fmt: skip
        return cls(
            **same_named(row, *plain),
            host=row.pool.host.name,
            pool=row.pool.name,
            volume=row.volume_name,
            job=row.job_id,
        )


class UploadWish(Input):
    file_name: Line = Field(min_length=1, max_length=255)
    size_bytes: int = Field(gt=0, lt=1 << 62)
    name: Line = Field("", max_length=255, description="Of the volume; empty: that of the file.")
    sha256: Line = Field("", max_length=80, description="What the file should have; empty: it is only computed.")


class ImageUploadWish(UploadWish):
    host: Line
    pool: Line
    image_name: Line = Field(min_length=1, max_length=100, description="In the library.")
    kind: Literal["iso", "disk"]


class UploadTicket(Schema):
    """For a PUT within 60 s, once. Send the same `Authorization` header there."""

    url: str
    ticket: str = Field(description="To be sent as `Upload-Ticket`.")
    offset: int = Field(description="To be sent as `Upload-Offset`: the body is the file from this byte on.")
    size_bytes: int


class Download(Schema):
    """For GETs within 12 h, also of ranges. Send the same `Authorization` header there."""

    url: str


@begun.post("/{host}/{pool}/uploads", response={202: Upload})
@allow(Permission.STORAGE)
@once
def begin_upload(request: SignedInRequest, host: Line, pool: Line, wish: UploadWish) -> Status[Upload]:
    """Have a volume made that takes a file. Then ask for a ticket until there is one."""
    found = find_pool(request, host, pool, Permission.STORAGE)
    form = checked(UploadForm(wish.dict()))
    return Status(202, Upload.of(upload_services.begin(pool=found, user=request.user, **form)))


@router.post("/images", response={202: Upload})
@allow(Permission.STORAGE)
@once
def begin_image_upload(request: SignedInRequest, wish: ImageUploadWish) -> Status[Upload]:
    """The same for a new image of the library, which it is once it has arrived as it should."""
    pool = find_pool(request, wish.host, wish.pool, Permission.STORAGE)
    form = ImageUploadForm({**wish.dict(exclude={"host"}), "pool": pool.pk}, user=request.user)
    checked(form)
    return Status(202, Upload.of(images.upload(user=request.user, **form.wishes())))


@router.get("", response=list[Upload])
@allow(Permission.STORAGE)
def list_uploads(request: SignedInRequest) -> list[Upload]:
    """Your own that have not ended."""
    found = upload_services.uploads_of(request.user).exclude(state=Row.State.CLOSED)
    return [Upload.of(row) for row in found.order_by("touched_at", "pk")]


@router.get("/{uuid:upload}", response=Upload)
@allow(Permission.STORAGE)
def get_upload(request: SignedInRequest, upload: UUID) -> Upload:
    """One of your own."""
    return Upload.of(changed_upload(request, upload))


@router.post("/{uuid:upload}/ticket", response={200: UploadTicket, 202: Upload})
@allow(Permission.STORAGE)
def get_upload_ticket(request: SignedInRequest, upload: UUID) -> Status[Any]:
    """Where to send the file, or the rest of it. 202 while its volume is being made, and when nothing more is taken:
    `state` tells which."""
    found = changed_upload(request, upload)
    if found.state != Row.State.OPEN:
        return Status(202, Upload.of(found))
    ticket = upload_services.upload_ticket(upload=found, session_key=shown_in(request))
    url = f"{gateway(request)}/upload/{found.pk}"
    answer = UploadTicket(url=url, ticket=ticket, offset=found.received_bytes, size_bytes=found.size_bytes)
    return Status(200, answer)


@router.post("/{uuid:upload}/cancel", response={202: Job})
@allow(Permission.STORAGE)
def cancel_upload(request: SignedInRequest, upload: UUID) -> Status[Job]:
    """Its job is cancelled, and deletes what has come."""
    job = get_object_or_404(JobRow, pk=changed_upload(request, upload).job_id)
    jobs.cancel(job=job, user=request.user)
    job.refresh_from_db()
    return asked_for(request, job)


@begun.post("/{host}/{pool}/volumes/{volume}/download", response=Download)
@allow(Permission.STORAGE)
def begin_download(request: SignedInRequest, host: Line, pool: Line, volume: Line) -> Download:
    """The address of its content."""
    found = find_volume(request, host, pool, volume, Permission.STORAGE)
    ticket = upload_services.download_ticket(volume=found, user=request.user, session_key=shown_in(request))
    return Download(url=f"{gateway(request)}/download/{ticket}/{quote(found.name, safe='')}")
