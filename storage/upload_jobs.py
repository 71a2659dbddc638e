"""The job of an upload: it makes the volume, waits while the gateway fills it, and checks what came."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import redis
from django.conf import settings
from django.utils import timezone

from hosts.connect import connected
from storage import copying, image_jobs, undoing, volume_rows
from storage.models import Upload
from storage.transfers import tickets
from storage.volume_jobs import VolumeAt, at
from vmdash import formats
from vmdash.exceptions import Conflict, InvalidInput, NotFound, Unavailable, VmdashError
from vmdash.jobs.context import STOPPING, Cancelled, JobContext
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.places import Need
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import CallError, HostError
from vmdash.virt.xml.volume import VolumeSpec

WEEK_S = 7 * 24 * 3600
LOOK_S = 0.5
AT_ONCE = 8
"""Each upload keeps a worker's thread waiting, and others need some, too."""


def _run(ctx: JobContext) -> Result:
    target, upload = at(ctx), _upload(ctx)
    with undoing.left_open(ctx):
        try:
            _make(ctx, target, upload)
            ctx.phase("Waiting for the browser to send it")
            return _await(ctx)
        except HostError:
            if not ctx.parameters.get("begun"):
                _undo(ctx)
            raise
        except (VmdashError, Cancelled):
            _undo(ctx)
            raise


def _make(ctx: JobContext, target: VolumeAt, upload: Upload) -> None:
    """The volume, empty; from now on the gateway fills it."""
    with connected(target.pool.host) as connection:
        pool = connection.pool(target.pool.name)
        undoing.refuse_existing(pool, target.name)
        undoing.mark(ctx, "begun", target.pool.host, target.pool.name, target.name)
        has_files = target.pool.type in copying.FILE_POOLS
        try:
            pool.create_volume(VolumeSpec(target.name, upload.size_bytes, format="raw" if has_files else ""))
        except CallError:  # it is somebody else's, if it is there
            undoing.unmark(ctx, target.pool.host, target.pool.name, target.name)
            raise
    insist(lambda: Upload.objects.filter(pk=upload.pk).update(state=Upload.State.OPEN, touched_at=timezone.now()))


def _await(ctx: JobContext) -> Result:
    """Wait until everything has come, then check it."""
    target, upload = at(ctx), _upload(ctx)
    while upload.state == Upload.State.OPEN:
        ctx.check()
        with suppress(redis.RedisError):
            ctx.transferred(max(upload.received_bytes, tickets.progress(upload.pk)), upload.size_bytes)
        if upload.error:
            raise Conflict(upload.error)
        if timezone.now() - upload.touched_at > timedelta(seconds=settings.UPLOAD_PATIENCE_S):
            raise Conflict(
                f"Nothing came for {formats.duration(timedelta(seconds=settings.UPLOAD_PATIENCE_S))}.",
                hint="Upload it again.",
            )
        STOPPING.wait(LOOK_S)
        insist(upload.refresh_from_db)
    if upload.state != Upload.State.RECEIVED:
        raise Conflict("The upload was ended before everything had come.", hint="Upload it again.")
    with connected(target.pool.host) as connection:
        pool = connection.pool(target.pool.name)
        digest = upload.sha256_received
        if not digest:
            ctx.phase("Reading it back for its checksum, since it did not come in one go")
            digest = copying.checksum(ctx, pool.volume(target.name), upload.size_bytes)
        if upload.sha256_expected and digest != upload.sha256_expected:
            raise InvalidInput(
                f"{upload.file_name} did not arrive as it should: its SHA-256 is another than expected.",
                hint="Upload it again, or check the checksum.",
                detail=f"expected {upload.sha256_expected}\nreceived {digest}",
            )
        ctx.log(f"SHA-256 {digest}" + (", as expected" if upload.sha256_expected else ""))
        copying.look_through(ctx, pool)
        ctx.note(sha256=digest)
        undoing.mark(ctx, "made", target.pool.host, target.pool.name, target.name)
        volume_rows.reread(connection, target.pool, target.name)
    _close(upload)
    image_jobs.uploaded(ctx, target.pool, target.name, digest)
    return {"sha256": digest}


def _reconcile(ctx: JobContext) -> Outcome:
    """The gateway goes on without the worker; so does this."""
    target, upload = at(ctx), _upload(ctx)
    host, pool, name = target.pool.host, target.pool.name, target.name
    if undoing.is_marked(ctx.job, "made", host, pool, name):
        _close(upload)
        with connected(host) as connection:
            volume_rows.reread(connection, target.pool, name)
        image_jobs.uploaded(ctx, target.pool, name, ctx.parameters["sha256"])
        return Outcome(Job.State.SUCCEEDED, "It was interrupted after everything had come.")
    if not undoing.is_marked(ctx.job, "begun", host, pool, name) or upload.state == Upload.State.PREPARING:
        _undo(ctx)
        return Outcome(Job.State.FAILED, "It was interrupted before it began. Upload it again.")
    try:
        _await(ctx)
    except Unavailable:
        raise
    except (VmdashError, Cancelled):
        _undo(ctx)
        raise
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and went on.")


def _undo(ctx: JobContext) -> None:
    """Nothing more is taken, and what came is deleted, if it was this job that made the volume. Raises VirtError."""
    _close(_upload(ctx))
    image_jobs.gave_up(ctx)
    undoing.remove_begun(ctx)


def _upload(ctx: JobContext) -> Upload:
    upload = Upload.objects.filter(pk=ctx.parameters["upload"]).first()
    if upload is None:
        raise NotFound("The upload is not known any more.", hint="Upload it again.")
    return upload


def _close(upload: Upload) -> None:
    insist(lambda: Upload.objects.filter(pk=upload.pk).update(state=Upload.State.CLOSED))


def _needs(job: Job) -> list[Need]:
    return [Need("uploads", AT_ONCE, f"{AT_ONCE} uploads are on their way already.")]


UPLOAD = register(
    Kind(
        name="volume.upload",
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=WEEK_S,
        needs=_needs,
    )
)
