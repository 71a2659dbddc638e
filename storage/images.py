"""The image library: taking volumes and files in, copying images to where they are needed, checking them."""

from __future__ import annotations

import shlex

from django.db import IntegrityError, transaction
from django.db.models import Prefetch, QuerySet

from hosts.connect import endpoint
from storage import image_jobs, upload_services, volume_services
from storage.models import Image, ImageCopy, Pool, Upload, Volume
from storage.volume_rows import volume_id
from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job


def seen_by(user: User) -> QuerySet[Image]:
    """The images that they may see, with those copies that they may see."""
    copies = Prefetch("copies", ImageCopy.objects.visible_to(user).select_related("pool__host"))
    return Image.objects.visible_to(user).prefetch_related(copies)


def add(*, name: str, kind: str, volume: Volume, user: User, description: str = "", sha256: str = "") -> Image:
    """Take a volume into the library; a job then reads it for its checksum.

    Raises:
        InvalidInput, Conflict, NotPermitted: and what to do about it.
    """
    _check_permitted(user, volume)
    if ImageCopy.objects.filter(pool=volume.pool, volume_name=volume.name).exists():
        raise Conflict(f"{volume.name} is in the library already.")
    if volume.backing_path:
        raise InvalidInput(
            f"{volume.name} stands on another volume, so it is no image by itself.", hint="Make a full clone of it."
        )
    with transaction.atomic():
        image = _new(name, kind, volume.format or "raw", volume.allocation_bytes, user, description, sha256)
        copy = ImageCopy.objects.create(image=image, pool=volume.pool, volume_name=volume.name)
        verify(copy=copy, user=user)
    return image


def upload(
    *, name: str, kind: str, format: str, pool: Pool, file_name: str, size_bytes: int, user: User, sha256: str = ""
) -> Upload:
    """Have a browser send a new image into a pool. It is in the library once it has arrived as it should.

    Raises:
        InvalidInput, Conflict, NotPermitted: and what to do about it.
    """
    _check_permitted(user, pool)
    digest = upload_services.checked_sha256(sha256)
    with transaction.atomic():
        image = _new(name, kind, format, size_bytes, user, "", digest)
        return upload_services.begin(
            pool=pool,
            name=file_name,
            size_bytes=size_bytes,
            user=user,
            file_name=file_name,
            sha256=sha256,
            image=image.pk,
        )


def verify(*, copy: ImageCopy, user: User) -> Job:
    """Have a copy read and its checksum compared."""
    _check_permitted(user, copy)
    return jobs.create(
        kind=image_jobs.VERIFY,
        user=user,
        target=_target(copy.pool, copy.volume_name),
        label=f"Check {copy.image.name} on {copy.pool.host.name}",
        parameters={"copy": copy.pk},
        virsh=f"virsh -c {endpoint(copy.pool.host).uri()} vol-download --pool {shlex.quote(copy.pool.name)} "
        f"{shlex.quote(copy.volume_name)} /dev/stdout | sha256sum",
    )


def copy_to(*, image: Image, pool: Pool, user: User) -> Job:
    """Have a copy of the image made in another pool, of whatever host, from one that was found good.

    Raises:
        Conflict: it is there already, or there is none to copy from; NotPermitted.
    """
    _check_permitted(user, pool)
    if image.copies.filter(pool=pool).exists():
        raise Conflict(f"{pool.name} on {pool.host.name} has {image.name} already.")
    readable = ImageCopy.objects.open_to(user, Permission.STORAGE).filter(image=image)
    usable = readable.exclude(state__in=[ImageCopy.State.COPYING, ImageCopy.State.BAD])
    source = usable.filter(pool__host=pool.host).first() or usable.order_by("state").first()
    if source is None:
        raise Conflict(f"There is no good copy of {image.name} to copy from.", hint="Check its copies.")
    volume_services.check_new_name(pool, source.volume_name)
    volume_services.check_space(pool, source.volume_name, image.size_bytes)
    with transaction.atomic():
        ImageCopy.objects.create(image=image, pool=pool, volume_name=source.volume_name, state=ImageCopy.State.COPYING)
        return jobs.create(
            kind=image_jobs.COPY,
            user=user,
            target=_target(pool, source.volume_name),
            label=f"Copy {image.name} to {pool.name} on {pool.host.name}",
            parameters={"pool": pool.pk, "name": source.volume_name, "image": image.pk, "source": source.pk},
            virsh=f"virsh -c {endpoint(pool.host).uri()} vol-upload --sparse --pool {shlex.quote(pool.name)} "
            f"{shlex.quote(source.volume_name)} FILE",
        )


def remove(*, image: Image, user: User) -> None:
    """Take the image out of the library; its volumes stay where they are. Raises NotPermitted."""
    if not can_everywhere(user, Permission.STORAGE):
        raise NotPermitted(f"You may not {Permission.STORAGE.label} everywhere.")
    record(user=user, action="image.remove", target_kind="image", target_id=str(image.pk), target_name=image.name)
    image.delete()


def _new(name: str, kind: str, format: str, size: int, user: User, description: str, sha256: str) -> Image:
    try:
        with transaction.atomic():
            return Image.objects.create(
                name=name,
                kind=kind,
                format=format,
                size_bytes=size,
                created_by=user,
                description=description,
                sha256=sha256.strip().lower(),
            )
    except IntegrityError:
        raise Conflict(f"The library has an image {name} already.", hint="Choose another name.") from None


def _check_permitted(user: User, thing: Pool | Volume | ImageCopy) -> None:
    if not can(user, Permission.STORAGE, thing):
        raise NotPermitted(f"You may not {Permission.STORAGE.label}.")


def _target(pool: Pool, name: str) -> jobs.Target:
    return jobs.Target(kind="volume", id=volume_id(pool, name), name=name, host_name=pool.host.name)
