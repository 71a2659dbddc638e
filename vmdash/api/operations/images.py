"""The image library."""

from datetime import datetime
from typing import Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from storage import images
from storage.image_views import checked_copy, copied_image
from storage.models import Image as Row
from storage.models import ImageCopy
from storage.volume_forms import CopyForm, ImageForm
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.roles import Permission
from vmdash.api.checked import checked
from vmdash.api.once import once
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.operations.storage import find_pool
from vmdash.api.operations.volumes import find_volume
from vmdash.api.shapes import Input, Line, Paging, Window, same_named

router = Router(tags=["images"])


class Copy(Schema):
    id: int
    host: str
    pool: str
    volume: str
    state: str = Field(description="copying, unchecked, good, or bad: its checksum is another.")
    checked_at: datetime | None

    @classmethod
    def of(cls, row: ImageCopy) -> "Copy":
        return cls(
            **same_named(row, "id", "state", "checked_at"),
            host=row.pool.host.name,
            pool=row.pool.name,
            volume=row.volume_name,
        )


class Image(Schema):
    id: int
    name: str
    kind: str = Field(description="iso or disk.")
    format: str
    size_bytes: int
    sha256: str = Field(description="Empty until it was first read.")
    description: str
    created_at: datetime
    copies: list[Copy]

    @classmethod
    def of(cls, row: Row) -> "Image":
        plain = ("id", "name", "kind", "format", "size_bytes", "sha256", "description", "created_at")
        return cls(**same_named(row, *plain), copies=[Copy.of(copy) for copy in row.copies.all()])


class ImageWish(Input):
    host: Line
    pool: Line
    volume: Line
    name: Line = Field(min_length=1, max_length=100, description="In the library.")
    kind: Literal["iso", "disk"]
    description: Line = ""


class CopyWish(Input):
    host: Line
    pool: Line


@router.get("", response=Window[Image])
@allow(Permission.VIEW)
def list_images(request: SignedInRequest, paging: Query[Paging]) -> Window[Image]:
    """By name, with the copies that you may see."""
    found = images.seen_by(request.user)
    return Window[Image].out_of([Image.of(row) for row in paging.of(found)], found.count(), paging)


@router.post("", response={202: Image})
@allow(Permission.STORAGE)
@once
def add_image(request: SignedInRequest, wish: ImageWish) -> Status[Image]:
    """Take a volume into the library. A job reads it for its checksum; until then the copy is unchecked."""
    volume = find_volume(request, wish.host, wish.pool, wish.volume, Permission.STORAGE)
    form = checked(ImageForm(wish.dict(exclude={"host", "pool", "volume"})))
    return Status(202, Image.of(images.add(volume=volume, user=request.user, **form)))


@router.post("/{int:image}/copies", response={202: Job})
@allow(Permission.STORAGE)
@once
def copy_image(request: SignedInRequest, image: int, wish: CopyWish) -> Status[Job]:
    """To a pool that runs and does not have it yet, of whatever host, from a good copy."""
    found = copied_image(request, image)
    pool = find_pool(request, wish.host, wish.pool, Permission.STORAGE)
    checked(CopyForm({"pool": pool.pk}, image=found, user=request.user))
    return asked_for(request, images.copy_to(image=found, pool=pool, user=request.user))


@router.post("/copies/{int:copy_id}/verify", response={202: Job})
@allow(Permission.STORAGE)
@once
def verify_copy(request: SignedInRequest, copy_id: int) -> Status[Job]:
    """Have it read and its checksum compared."""
    return asked_for(request, images.verify(copy=checked_copy(request, copy_id), user=request.user))


@router.delete("/{int:image}", response={204: None})
@allow_everywhere(Permission.STORAGE)
def remove_image(request: SignedInRequest, image: int) -> Status[None]:
    """Out of the library; its volumes stay where they are."""
    found = get_object_or_404(images.seen_by(request.user), pk=image)
    images.remove(image=found, user=request.user)
    return Status(204, None)
