"""Volumes of storage pools."""

from typing import Annotated, Any, Literal

from django.http import Http404
from ninja import Field, Query, Router, Schema, Status

from storage import chains, volume_services
from storage.models import Volume as Row
from vmdash.access.guards import SignedInRequest, allow, check
from vmdash.access.roles import Permission
from vmdash.api.once import once
from vmdash.api.operations.jobs import Job, asked_for
from vmdash.api.operations.storage import find_pool
from vmdash.api.shapes import Input, Line, Paging, Window, same_named

router = Router(tags=["storage"])

Size = Annotated[int, Field(gt=0, lt=1 << 62)]
Format = Literal["qcow2", "raw"]


class Volume(Schema):
    host: str
    pool: str
    name: str
    path: str
    kind: str
    format: str
    capacity_bytes: int
    allocation_bytes: int
    backing_path: str
    backing_format: str
    encrypted: bool

    @classmethod
    def of(cls, volume: Row) -> "Volume":
        return cls(**_fields(volume))


class VolumeInFull(Volume):
    why_not_write: str = Field(description="Why nobody may write to it now; empty when nothing is in the way.")
    why_not_delete: str


class VolumeFilters(Paging):
    q: Line = Field("", description="In the name.")


class VolumeWish(Input):
    name: Line
    capacity_bytes: Size
    format: Format = "qcow2"
    preallocated: bool = False
    backing_path: Line = Field("", description="The path of a volume of this host whose content it shows.")
    passphrase: Line = Field("", max_length=200, description="Encrypts it with LUKS. Never shown again.")


class VolumeCloneWish(Input):
    name: Line
    pool: Line = Field("", description="Of the same host; empty: that of the source.")
    format: Format | None = None
    capacity_bytes: Size | None = None


class ResizeWish(Input):
    capacity_bytes: Size
    shrink: bool = Field(False, description="It may get smaller: what is behind its new end is lost.")


class WipeWish(Input):
    confirm: Line = Field(description="The name of the volume.")
    algorithm: Literal["zero", "random", "trim"] = "zero"


@router.get("/{host}/{pool}/volumes", response=Window[Volume])
@allow(Permission.VIEW)
def list_volumes(request: SignedInRequest, host: Line, pool: Line, filters: Query[VolumeFilters]) -> Window[Volume]:
    found = find_pool(request, host, pool)
    rows = Row.objects.visible_to(request.user).filter(pool=found).select_related("pool__host")
    if filters.q:
        rows = rows.filter(name__icontains=filters.q)
    return Window[Volume].out_of([Volume.of(row) for row in filters.of(rows)], rows.count(), filters)


@router.post("/{host}/{pool}/volumes", response={202: Job})
@allow(Permission.STORAGE)
@once
def create_volume(request: SignedInRequest, host: Line, pool: Line, wish: VolumeWish) -> Status[Job]:
    found = find_pool(request, host, pool, Permission.STORAGE)
    backing = None
    if wish.backing_path:
        bases = Row.objects.visible_to(request.user).select_related("pool__host")
        backing = bases.filter(pool__host=found.host, path=wish.backing_path).first()
        if backing is None:
            raise Http404("No pool of this host has a volume at that path.")
    job = volume_services.create(pool=found, user=request.user, backing=backing, **wish.dict(exclude={"backing_path"}))
    return asked_for(request, job)


@router.get("/{host}/{pool}/volumes/{volume}", response=VolumeInFull)
@allow(Permission.VIEW)
def get_volume(request: SignedInRequest, host: Line, pool: Line, volume: Line) -> VolumeInFull:
    found = find_volume(request, host, pool, volume)
    return VolumeInFull(
        **_fields(found),
        why_not_write=chains.obstacle_to_write(found, request.user),
        why_not_delete=chains.obstacle_to_delete(found, request.user),
    )


@router.delete("/{host}/{pool}/volumes/{volume}", response={202: Job})
@allow(Permission.STORAGE)
def delete_volume(request: SignedInRequest, host: Line, pool: Line, volume: Line, confirm: Line) -> Status[Job]:
    """`confirm` is its name: its content is lost for good."""
    found = find_volume(request, host, pool, volume, Permission.STORAGE)
    return asked_for(request, volume_services.delete(volume=found, user=request.user, confirm=confirm))


@router.post("/{host}/{pool}/volumes/{volume}/clone", response={202: Job})
@allow(Permission.STORAGE)
@once
def clone_volume(request: SignedInRequest, host: Line, pool: Line, volume: Line, wish: VolumeCloneWish) -> Status[Job]:
    """In its own format, or in another one."""
    source = find_volume(request, host, pool, volume, Permission.STORAGE)
    target = find_pool(request, host, wish.pool, Permission.STORAGE) if wish.pool else source.pool
    job = volume_services.clone(
        source=source,
        pool=target,
        name=wish.name,
        user=request.user,
        format=wish.format or "",
        capacity_bytes=wish.capacity_bytes or 0,
    )
    return asked_for(request, job)


@router.post("/{host}/{pool}/volumes/{volume}/resize", response={202: Job})
@allow(Permission.STORAGE)
@once
def resize_volume(request: SignedInRequest, host: Line, pool: Line, volume: Line, wish: ResizeWish) -> Status[Job]:
    found = find_volume(request, host, pool, volume, Permission.STORAGE)
    return asked_for(request, volume_services.resize(volume=found, user=request.user, **wish.dict()))


@router.post("/{host}/{pool}/volumes/{volume}/wipe", response={202: Job})
@allow(Permission.STORAGE)
@once
def wipe_volume(request: SignedInRequest, host: Line, pool: Line, volume: Line, wish: WipeWish) -> Status[Job]:
    """Have its whole content overwritten."""
    found = find_volume(request, host, pool, volume, Permission.STORAGE)
    return asked_for(request, volume_services.wipe(volume=found, user=request.user, **wish.dict()))


def _fields(volume: Row) -> dict[str, Any]:
    plain = (
        "name", "path", "kind", "format", "capacity_bytes", "allocation_bytes", "backing_path", "backing_format",
        "encrypted",
    )  # fmt: skip
    return {**same_named(volume, *plain), "host": volume.pool.host.name, "pool": volume.pool.name}


def find_volume(request: SignedInRequest, host: str, pool: str, name: str, permission: Permission | None = None) -> Row:
    """Raises Http404, and PermissionDenied for who sees it and lacks `permission` to it."""
    volumes = Row.objects.visible_to(request.user).select_related("pool__host", "pool__storage")
    found = volumes.filter(pool__host__name=host, pool__name=pool, name=name).first()
    if found is None:
        raise Http404(f"There is no volume {name} in {pool} on {host}.")
    if permission:
        check(request, permission, found)
    return found
