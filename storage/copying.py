"""Copying volumes: on one host, and from host to host. For jobs that make volumes; nothing here knows their kind.

Each copy notes in the job's row that it begins and when it is through, so that no accident leaves a volume that nobody
knows of; what came of one that was interrupted, `storage.undoing` finds out.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from hosts.connect import connected
from hosts.models import Host
from storage import undoing
from storage.host_call import HostCall
from vmdash.exceptions import InvalidInput, VmdashError
from vmdash.jobs.context import Cancelled, JobContext, OutcomeUnknown
from vmdash.virt.errors import AlreadyExists, CallError, HostError, InvalidState, PoolBusy, VolumeNotFound
from vmdash.virt.xml.volume import VolumeSpec

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.pool import Pool
    from vmdash.virt.transfer import Hole
    from vmdash.virt.volume import Volume

POLL_S = 0.25
QUEUE_PIECES = 16
"""Between the two hosts; each piece is at most a quarter of a MiB."""
FILE_POOLS = frozenset({"dir", "fs", "netfs", "gluster", "vstorage"})
"""Pools whose volumes are files: any format can lie there. Others hold the bare content of disks."""


def copy_volume(
    ctx: JobContext,
    host: Host,
    source_pool: str,
    source_name: str,
    target_pool: str,
    spec: VolumeSpec,
    *,
    phase: str = "",
) -> None:
    """Make volume `spec` in `target_pool` with the content of another one of the same host.

    The host does it by itself (`qemu-img convert`), so format, size and backing file may differ from the source's.
    Progress is that of the growing target. libvirt offers no way to stop such a copy: when the job is cancelled, the
    host copies to the end, and then the volume is deleted; the job says so. A copy that fails leaves nothing.

    Raises:
        AlreadyExists: there is such a volume already; it is left alone.
        CallError: the host refused, or failed on the way (OutOfSpace …).
        Cancelled: and nothing is left of it.
        OutcomeUnknown and other Interrupted: see `undoing.settle`.
    """
    with connected(host) as connection:
        source = connection.pool(source_pool).volume(source_name)
        target = connection.pool(target_pool)
        undoing.refuse_existing(target, spec.name)
        total_bytes = spec.allocation_bytes or _content_bytes(connection, source, spec)
        make(
            ctx,
            host,
            target,
            spec.name,
            lambda own: own.pool(target_pool).clone_volume(spec, own.pool(source_pool).volume(source_name)),
            total_bytes=total_bytes,
            phase=phase,
        )


def make(
    ctx: JobContext,
    host: Host,
    pool: Pool,
    name: str,
    call: Callable[[HostConnection], object],
    *,
    total_bytes: int,
    phase: str = "",
) -> None:
    """Have the host make a volume by `call`, which blocks, and tell how far it is; see `copy_volume`.

    `pool` belongs to another connection than the one that `call` gets. The caller has asked `undoing.refuse_existing`.
    `phase` is what the job says meanwhile: only once the host is at work, which need not wait for that.
    """
    with undoing.begun(ctx, host, pool.name, name):
        at_work, cancelled, work = True, None, HostCall(host, call)
        if phase:
            ctx.phase(phase)
        while at_work:
            at_work = not work.ended.wait(POLL_S)
            if at_work:
                ctx.transferred(min(_size(pool, name), total_bytes), total_bytes)
            try:
                ctx.check()
            except Cancelled as asked:
                if cancelled is None and at_work:
                    ctx.phase(f"Cancelled: {host.name} cannot stop half-way; it is deleted when it is through")
                cancelled = asked
        if isinstance(work.error, AlreadyExists | InvalidState):  # a file of that name, known to the pool or not
            raise work.error
        if cancelled or (work.error and not isinstance(work.error, HostError)):
            _delete(pool, name)
        if cancelled:
            raise cancelled
        work.raise_error()
        ctx.transferred(total_bytes, total_bytes)


def copy_between_hosts(
    ctx: JobContext,
    *,
    source_host: Host,
    source_pool: str,
    source_name: str,
    target_host: Host,
    target_pool: str,
    spec: VolumeSpec,
    verify: bool = False,
) -> str:
    """Make volume `spec` in a pool of another host, with the same bytes as the source. Returns their SHA-256.

    The bytes pass through this worker, a few MiB at a time; holes are not sent. The format stays, and so does the path
    of a backing file: `spec` must name both as they are (an empty format takes the source's), and the caller sees to
    it that the backing file is at that path on the target host, too. With `verify` the target is read back afterwards
    and compared.

    Raises:
        InvalidInput: format or backing file differ, or the target pool cannot hold them.
        AlreadyExists: there is such a volume already; it is left alone.
        CallError: a host refused or failed (OutOfSpace …); nothing is left on the target.
        Cancelled: at once, and nothing is left.
        OutcomeUnknown and other Interrupted: see `undoing.settle`.
    """
    with connected(source_host) as here, connected(target_host) as there:
        source = here.pool(source_pool).volume(source_name)
        target = there.pool(target_pool)
        length = _check_same_content(source, target, spec)
        undoing.refuse_existing(target, spec.name)
        with undoing.begun(ctx, target_host, target_pool, spec.name, fed=True):
            try:
                # Raw and as long as the file: only zeros are there, so holes may be left out. What it is, the host
                # finds out when the stream ends.
                volume = target.create_volume(VolumeSpec(spec.name, length, format="raw" if _has_files(target) else ""))
                digest = _pump(ctx, source, volume, length)
                if verify:
                    ctx.phase(f"Reading it back from {target_host.name} to compare")
                    _compare(ctx, volume, length, digest)
                look_through(ctx, target)
            except AlreadyExists:
                raise
            except HostError as error:
                raise OutcomeUnknown(error.message) from error
            except (VmdashError, Cancelled):
                _delete(target, spec.name)
                raise
        return digest


def _compare(ctx: JobContext, volume: Volume, length: int, sent: str) -> None:
    """Raises InvalidInput when what is stored is not what was sent."""
    read_back = checksum(ctx, volume, length)
    if read_back != sent:
        raise InvalidInput(
            f"The copy {volume.name} on {volume.host} differs from the original.",
            hint="Check the storage of both hosts, and try again.",
            detail=f"SHA-256 sent: {sent}\nSHA-256 read back: {read_back}",
        )


def look_through(ctx: JobContext, pool: Pool) -> None:
    """Have the host notice what came into the pool otherwise than by its own making: of what format it is. Waits while
    other volumes are being made there. Raises CallError, Interrupted."""

    def looked() -> bool:
        try:
            pool.refresh(patience_s=0)
        except PoolBusy:
            return False
        return True

    if not looked():
        ctx.phase(f"Waiting until {pool.host} has made other volumes in {pool.name}")
        while not ctx.wait_until(looked, timeout_s=3600):
            ctx.log(f"{pool.host} is still making other volumes in {pool.name}")


def checksum(ctx: JobContext, volume: Volume, length: int) -> str:
    """The SHA-256 of a volume as it is stored, in hexadecimal digits. `length` is for the progress alone."""
    from vmdash.virt.transfer import Hole

    digest, done = hashlib.sha256(), 0
    with volume.download(sparse=True) as stream:
        while piece := stream.read():
            if isinstance(piece, Hole):
                _hash_zeros(digest, piece.length)
                done += piece.length
            else:
                digest.update(piece)
                done += len(piece)
            ctx.transferred(min(done, length), length)
            _check_now_and_then(ctx, done)
    return digest.hexdigest()


def _size(pool: Pool, name: str) -> int:
    """How much of it is on the storage; 0 before it is there."""
    try:
        return pool.volume(name).use().allocation_bytes
    except CallError:
        return 0


def _content_bytes(connection: HostConnection, source: Volume, spec: VolumeSpec) -> int:
    """How much there is to copy: the source, and what is below it unless the copy stands on that, too."""
    definition = source.definition()
    total, capacity = definition.allocation_bytes, definition.capacity_bytes
    while definition.backing_path and not spec.backing_path:
        try:
            definition = connection.volume_at(definition.backing_path).definition()
        except CallError:
            break
        total += definition.allocation_bytes
    return max(1, min(total, capacity) if capacity else total)


def _check_same_content(source: Volume, target: Pool, spec: VolumeSpec) -> int:
    """How many bytes the source is long. Raises InvalidInput when the target would have to differ."""
    definition = source.definition()
    doing = f"Cannot copy {source.name} from {source.host} to pool {target.name} on {target.host}"
    if spec.format and definition.format and spec.format != definition.format:
        raise InvalidInput(
            f"{doing}: a copy between hosts keeps the format, {definition.format}.",
            hint=f"Convert it to {spec.format} on one of the hosts.",
        )
    if spec.backing_path != definition.backing_path:
        raise InvalidInput(
            f"{doing}: it stands on {definition.backing_path or 'nothing'}.",
            hint="Make a full clone of it first, which stands on nothing, and copy that.",
        )
    if definition.format not in ("", "raw", "iso") and not _has_files(target):
        raise InvalidInput(
            f"{doing}: that pool has no files, and the volume is {definition.format}.",
            hint="Convert it to raw on its own host first.",
        )
    return definition.physical_bytes or definition.capacity_bytes


def _has_files(pool: Pool) -> bool:
    return pool.facts().type in FILE_POOLS


def _pump(ctx: JobContext, source: Volume, target: Volume, length: int) -> str:
    """Carry the bytes over, and return their SHA-256. A thread reads and hashes while this one writes."""
    from vmdash.virt.transfer import Hole

    reader = _Reader(source)
    reader.start()
    done = 0
    try:
        with target.upload(length=length, sparse=True) as stream:
            while piece := reader.pieces.get():
                if isinstance(piece, Hole):
                    stream.skip(piece.length)
                    done += piece.length
                else:
                    stream.write(piece)
                    done += len(piece)
                ctx.transferred(min(done, length), length)
                _check_now_and_then(ctx, done)
            if reader.error:
                raise reader.error
    finally:
        reader.stop()
    return reader.digest.hexdigest()


class _Reader(threading.Thread):
    """Reads a volume into `pieces`, which end with an empty one. `stop` before its connection is closed."""

    def __init__(self, source: Volume) -> None:
        super().__init__(name=f"read-{source.name}", daemon=True)
        self.pieces: queue.Queue[bytes | Hole] = queue.Queue(QUEUE_PIECES)
        self.error: VmdashError | None = None
        self.digest = hashlib.sha256()
        self._source = source
        self._told_to_stop = threading.Event()

    def run(self) -> None:
        from vmdash.virt.transfer import Hole

        try:
            with self._source.download(sparse=True) as stream:
                while not self._told_to_stop.is_set() and (piece := stream.read()):
                    if isinstance(piece, Hole):
                        _hash_zeros(self.digest, piece.length)
                    else:
                        self.digest.update(piece)
                    self._hand_over(piece)
                if self._told_to_stop.is_set():
                    stream.abort()
        except VmdashError as error:
            self.error = error
        finally:
            self._hand_over(b"")

    def _hand_over(self, piece: bytes | Hole) -> None:
        while not self._told_to_stop.is_set():
            with contextlib.suppress(queue.Full):
                self.pieces.put(piece, timeout=0.5)
                return

    def stop(self) -> None:
        self._told_to_stop.set()
        self.join()


_ZEROS = bytes(1 << 20)
_CHECK_BYTES = 8 << 20


def _hash_zeros(digest: hashlib._Hash, length: int) -> None:
    view = memoryview(_ZEROS)
    while length > 0:
        digest.update(view[:length])
        length -= len(view)


def _check_now_and_then(ctx: JobContext, done: int) -> None:
    """Ask whether to go on, about every 8 MiB: the question costs a query."""
    if done % _CHECK_BYTES < 262_144:
        ctx.check()


def _delete(pool: Pool, name: str) -> None:
    """Delete what a copy left."""
    with contextlib.suppress(VolumeNotFound):
        pool.volume(name).delete()
