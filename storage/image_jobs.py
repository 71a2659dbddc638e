"""Jobs of the image library: is a copy still what it should be, and a copy for another pool or host."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from hosts.connect import connected
from storage import copying, undoing, volume_rows
from storage.models import Image, ImageCopy, Pool
from storage.volume_jobs import DAY_S, VolumeAt, at, settle_made
from vmdash.exceptions import Conflict, InvalidInput, NotFound, VmdashError
from vmdash.jobs.context import Cancelled, JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.xml.volume import VolumeSpec


def _run_verify(ctx: JobContext) -> Result:
    copy = ImageCopy.objects.select_related("image", "pool__host__credential").filter(pk=ctx.parameters["copy"]).first()
    if copy is None:
        raise NotFound("The library has no such copy any more.")
    image = copy.image
    with connected(copy.pool.host) as connection:
        volume = connection.pool(copy.pool.name).volume(copy.volume_name)
        length = volume.definition().physical_bytes or image.size_bytes
        ctx.phase(f"Reading {copy.volume_name} on {copy.pool.host.name}")
        digest = copying.checksum(ctx, volume, length)
    if not image.sha256:
        insist(lambda: Image.objects.filter(pk=image.pk, sha256="").update(sha256=digest, size_bytes=length))
        image.refresh_from_db()
    right = digest == image.sha256
    set_state(copy, ImageCopy.State.GOOD if right else ImageCopy.State.BAD)
    if not right:
        raise Conflict(
            f"{copy.volume_name} on {copy.pool.host.name} is not {image.name} any more: its checksum is another.",
            hint="Delete this copy, and copy the image anew from a good one.",
            detail=f"expected {image.sha256}\nfound {digest}",
        )
    return {"sha256": digest}


def _run_copy(ctx: JobContext) -> Result:
    target = at(ctx)
    image = Image.objects.filter(pk=ctx.parameters["image"]).first()
    source = (
        ImageCopy.objects.select_related("pool__host__credential")
        .filter(pk=ctx.parameters["source"], image=image)
        .first()
    )
    if image is None or source is None:
        raise NotFound("The library has no such image any more.")
    try:
        with undoing.left_open(ctx):
            digest = _copy(ctx, image, source, target)
    except (VmdashError, Cancelled):
        _forget(ctx)
        raise
    _arrived(ctx, ImageCopy.State.GOOD)
    return {"sha256": digest}


def _copy(ctx: JobContext, image: Image, source: ImageCopy, target: VolumeAt) -> str:
    """Returns the SHA-256. Raises VmdashError, Interrupted."""
    ctx.phase(f"Copying {image.name} from {source.pool.host.name} to {target.pool.host.name}")
    digest = copying.copy_between_hosts(
        ctx,
        source_host=source.pool.host,
        source_pool=source.pool.name,
        source_name=source.volume_name,
        target_host=target.pool.host,
        target_pool=target.pool.name,
        spec=VolumeSpec(target.name, 0, format=""),
        verify=True,
    )
    if image.sha256 and digest != image.sha256:
        undoing.remove(target.pool.host, target.pool.name, target.name)
        set_state(source, ImageCopy.State.BAD)
        raise InvalidInput(
            f"The copy on {source.pool.host.name} is not {image.name} any more: its checksum is another.",
            hint="Copy from another host.",
            detail=f"expected {image.sha256}\nfound {digest}",
        )
    with connected(target.pool.host) as connection:
        volume_rows.reread(connection, target.pool, target.name)
    return digest


def _settle_copy(ctx: JobContext) -> Outcome:
    outcome = settle_made(ctx)
    if outcome.state == Job.State.SUCCEEDED:  # whole, but nobody compared it with the library's checksum
        _arrived(ctx, ImageCopy.State.UNCHECKED)
    else:
        _forget(ctx)
    return outcome


def _mine(ctx: JobContext) -> Any:
    return ImageCopy.objects.filter(pool=ctx.parameters["pool"], volume_name=ctx.parameters["name"])


def _arrived(ctx: JobContext, state: ImageCopy.State) -> None:
    checked_at = timezone.now() if state is ImageCopy.State.GOOD else None
    insist(lambda: _mine(ctx).update(state=state, checked_at=checked_at))


def _forget(ctx: JobContext) -> None:
    insist(lambda: _mine(ctx).filter(state=ImageCopy.State.COPYING).delete())


def set_state(copy: ImageCopy, state: ImageCopy.State) -> None:
    insist(lambda: ImageCopy.objects.filter(pk=copy.pk).update(state=state, checked_at=timezone.now()))


def uploaded(ctx: JobContext, pool: Pool, name: str, sha256: str) -> None:
    """Write down that an upload has become a copy of the image that it was for."""
    if not (image_id := ctx.parameters.get("image")):
        return

    def write() -> None:
        Image.objects.filter(pk=image_id, sha256="").update(sha256=sha256)
        if Image.objects.filter(pk=image_id, sha256=sha256).exists():
            ImageCopy.objects.update_or_create(
                pool=pool,
                volume_name=name,
                defaults={"image_id": image_id, "state": ImageCopy.State.GOOD, "checked_at": timezone.now()},
            )

    insist(write)


def gave_up(ctx: JobContext) -> None:
    """Take an image that was to be uploaded, and of which there is nothing, out of the library."""
    if image_id := ctx.parameters.get("image"):
        insist(lambda: Image.objects.filter(pk=image_id, copies=None).delete())


VERIFY = register(Kind(name="image.verify", run=_run_verify, cancellable=True, time_limit_s=DAY_S))
COPY = register(
    Kind(name="image.copy", run=_run_copy, reconcile=_settle_copy, exclusive=True, cancellable=True, time_limit_s=DAY_S)
)
