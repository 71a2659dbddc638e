"""From a browser into a volume."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils import timezone

from hosts.connect import connected
from storage.models import Upload
from storage.transfers import tickets
from vmdash.exceptions import Conflict, VmdashError
from vmdash.virt.errors import HostError

if TYPE_CHECKING:
    from vmdash.virt.transfer import UploadStream
    from vmdash.virt.volume import Volume

PIECE = 1 << 20
LOOK_S = 0.5
"""How often it is looked whether the upload shall go on, and told how far it is."""
CHECKPOINT_BYTES = 1 << 30
"""After so much the host confirms what it has: at most so much is sent twice when the gateway is killed."""
_ZEROS = bytes(PIECE)

Read = Callable[[memoryview], int]
"""Fills a piece of memory and says how much; 0 at the end, or when the browser is gone."""


@dataclass(slots=True)
class _Digest:
    """The checksum of what has passed, while this process lives."""

    position: int = 0
    whole: bool = True
    """Whether it has seen everything from the beginning."""
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)


_digests: dict[UUID, _Digest] = {}
_writers: dict[UUID, threading.Lock] = {}
_lock = threading.Lock()
MOST_REMEMBERED = 1000


def receive(upload: Upload, read: Read, end: int) -> int:
    """Write what `read` yields, up to byte `end` of the file. Returns how much of the file the host now has.

    Raises:
        Conflict: somebody sends it already, or the upload was ended.
        VmdashError: the host refused (OutOfSpace …), which ends the upload, or is away, which does not.
    """
    writer = _writer(upload.pk)
    if not writer.acquire(timeout=5):
        raise Conflict("Another window sends this file already.")
    try:
        upload.refresh_from_db(fields=["received_bytes", "state"])
        with connected(upload.pool.host) as connection:
            volume = connection.pool(upload.pool.name).volume(upload.volume_name)
            while upload.received_bytes < end and _receive_part(
                upload, volume, read, min(end, upload.received_bytes + CHECKPOINT_BYTES)
            ):
                pass
    except HostError:
        raise
    except VmdashError as error:
        Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(error=str(error)[:500])
        raise
    finally:
        writer.release()
    if upload.received_bytes == upload.size_bytes:
        digest = _digests.pop(upload.pk, None)
        Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN).update(
            state=Upload.State.RECEIVED,
            sha256_received=digest.sha256.hexdigest() if digest and digest.whole else "",
        )
    return upload.received_bytes


def _receive_part(upload: Upload, volume: Volume, read: Read, end: int) -> bool:
    """Write up to `end` and have the host confirm it. Returns whether the browser has more to send."""
    begin = upload.received_bytes
    digest = _digest(upload)
    position, came = begin, 1
    with volume.upload(offset=begin, length=end - begin, sparse=True) as stream:
        buffer, looked = memoryview(bytearray(PIECE)), time.monotonic()
        while position < end:
            came = read(buffer[: min(PIECE, end - position)])
            if not came:
                break
            piece = bytes(buffer[:came])
            digest.sha256.update(piece)
            _write(stream, piece)
            position += came
            digest.position = position
            if time.monotonic() - looked > LOOK_S:
                looked = time.monotonic()
                _check(upload.pk)
                tickets.tell_progress(upload.pk, position)
        stream.finish()
    upload.received_bytes = position
    Upload.objects.filter(pk=upload.pk).update(received_bytes=position, touched_at=timezone.now())
    tickets.tell_progress(upload.pk, position)
    return came > 0


def _write(stream: UploadStream, piece: bytes) -> None:
    if piece == _ZEROS:
        stream.skip(len(piece))
    else:
        stream.write(piece)


def _check(upload_id: UUID) -> None:
    """Raises Conflict when the upload was ended meanwhile."""
    if not Upload.objects.filter(pk=upload_id, state=Upload.State.OPEN).update(touched_at=timezone.now()):
        raise Conflict("The upload was ended.")


def _writer(upload_id: UUID) -> threading.Lock:
    with _lock:
        return _writers.setdefault(upload_id, threading.Lock())


def _digest(upload: Upload) -> _Digest:
    """The one that has seen everything so far; a new one knows that it has not."""
    with _lock:
        digest = _digests.get(upload.pk)
        if digest is None or digest.position != upload.received_bytes:
            while len(_digests) >= MOST_REMEMBERED:
                del _digests[next(iter(_digests))]
            digest = _digests[upload.pk] = _Digest()
            digest.position, digest.whole = upload.received_bytes, upload.received_bytes == 0
        return digest
