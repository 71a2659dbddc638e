"""Asking for uploads and downloads. The content itself never passes through the web process."""

from __future__ import annotations

import re

from django.db import transaction
from django.db.models import QuerySet

from hosts.connect import endpoint
from storage import volume_services
from storage.models import Pool, Upload, Volume
from storage.transfers import tickets
from storage.transfers.tickets import Ticket, Way
from storage.upload_jobs import UPLOAD
from storage.volume_rows import volume_id
from vmdash.access.bearers import Key
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import InvalidInput, NotPermitted
from vmdash.jobs import services as jobs

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def begin(
    *,
    pool: Pool,
    name: str,
    size_bytes: int,
    user: User,
    file_name: str = "",
    sha256: str = "",
    image: int | None = None,
) -> Upload:
    """Have a volume made that a browser then fills. `sha256` is what the file should have; `image` the row of the
    library that it shall become a copy of.

    Raises:
        InvalidInput, Conflict, NotPermitted: and what to do about it.
    """
    if not can(user, Permission.STORAGE, pool):
        raise NotPermitted(f"You may not {Permission.STORAGE.label}.")
    sha256 = checked_sha256(sha256)
    if size_bytes <= 0:
        raise InvalidInput("The file is empty.")
    volume_services.check_new_name(pool, name)
    volume_services.check_space(pool, name, size_bytes)
    with transaction.atomic():
        upload = Upload.objects.create(
            pool=pool,
            volume_name=name,
            file_name=file_name[:255],
            requested_by=user,
            size_bytes=size_bytes,
            sha256_expected=sha256,
        )
        job = jobs.create(
            kind=UPLOAD,
            user=user,
            target=jobs.Target(kind="volume", id=volume_id(pool, name), name=name, host_name=pool.host.name),
            label=f"Upload {name} to {pool.name} on {pool.host.name}",
            parameters={"pool": pool.pk, "name": name, "upload": str(upload.pk), "image": image},
            virsh=f"virsh -c {endpoint(pool.host).uri()} vol-upload --sparse --pool {pool.name} {name} FILE",
        )
        upload.job_id = job.pk
        upload.save(update_fields=["job_id"])
    return upload


def checked_sha256(text: str) -> str:
    """As we keep it; empty stays empty. Raises InvalidInput."""
    digest = text.strip().lower()
    if digest and not _SHA256.match(digest):
        raise InvalidInput("That is no SHA-256 checksum.", hint="It has 64 digits from 0 to 9 and a to f.")
    return digest


def uploads_of(user: User) -> QuerySet[Upload]:
    """Their own, as long as they may see the pools."""
    uploads = Upload.objects.filter(requested_by=user, pool__in=Pool.objects.visible_to(user))
    return uploads.select_related("pool__host")


def upload_ticket(*, upload: Upload, session_key: Key) -> str:
    """A token to send (more of) the file, once. The caller has checked whose upload it is."""
    return tickets.issue(
        Ticket(upload.requested_by_id, tickets.session_digest(session_key), Way.UPLOAD, str(upload.pk))
    )


def download_ticket(*, volume: Volume, user: User, session_key: Key) -> str:
    """A token to fetch the volume's bytes. The caller has checked the permission."""
    return tickets.issue(Ticket(user.pk, tickets.session_digest(session_key), Way.DOWNLOAD, str(volume.pk)))
