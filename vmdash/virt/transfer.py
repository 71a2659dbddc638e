"""The content of volumes as streams: in and out, piece by piece, with holes left out where the daemon can.

A stream belongs to its connection, and like it to one thread. A piece is at most ``PIECE`` bytes, so the memory used
does not depend on the volume.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import libvirt

from vmdash.virt.translation import translate

PIECE = 262_120
"""The most that one message of libvirt's protocol carries (``VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX``, less its length)."""

_HOLE = -3
_REFUSED_FLAGS = (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_NO_SUPPORT)


@dataclass(frozen=True, slots=True)
class Hole:
    """So many bytes that are zero and were not sent."""

    length: int


class _Stream:
    """Used as a context manager: left with an error, it is aborted; left without, finished if it was not yet."""

    def __init__(self, raw: libvirt.virStorageVol, doing: str, host: str) -> None:
        self._stream = raw.connect().newStream()
        self._doing = doing
        self._host = host
        self._open = True

    def _translate(self) -> translate:
        return translate(self._doing, self._host)

    def finish(self) -> None:
        """Wait until the host has everything. Raises CallError for what failed on the way, such as OutOfSpace."""
        if self._open:
            self._open = False
            with self._translate():
                self._stream.finish()

    def abort(self) -> None:
        """Let go of it; what was written so far stays."""
        if self._open:
            self._open = False
            with contextlib.suppress(libvirt.libvirtError):
                self._stream.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.abort()


class UploadStream(_Stream):
    """Content on its way into a volume (``virStorageVolUpload``). See ``Volume.upload``."""

    def __init__(
        self, raw: libvirt.virStorageVol, name: str, host: str, *, offset: int, length: int, sparse: bool
    ) -> None:
        super().__init__(raw, f"write to volume {name}", host)
        flag = libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM if sparse else 0
        with self._translate():
            self.is_sparse = _open(lambda flags: raw.upload(self._stream, offset, length, flags), flag)

    def write(self, data: bytes) -> None:
        """Blocks until the host takes it. An error of the host may come with a later call."""
        with self._translate():
            for start in range(0, len(data), PIECE):
                piece = data[start : start + PIECE] if len(data) > PIECE else data
                sent = self._stream.send(piece)
                while sent < len(piece):
                    sent += self._stream.send(piece[sent:])

    def skip(self, length: int) -> None:
        """Leave out ``length`` zero bytes; a daemon that knows no holes gets them written."""
        if self.is_sparse:
            with self._translate():
                self._stream.sendHole(length)
            return
        zeros = bytes(min(length, PIECE))
        while length:
            self.write(zeros[:length])
            length -= min(length, PIECE)


class DownloadStream(_Stream):
    """Content on its way out of a volume (``virStorageVolDownload``). See ``Volume.download``."""

    def __init__(
        self, raw: libvirt.virStorageVol, name: str, host: str, *, offset: int, length: int, sparse: bool
    ) -> None:
        super().__init__(raw, f"read volume {name}", host)
        flag = libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM if sparse else 0
        with self._translate():
            self.is_sparse = _open(lambda flags: raw.download(self._stream, offset, length, flags), flag)

    def read(self) -> bytes | Hole:
        """The next piece; empty at the end. Blocks until it comes."""
        with self._translate():
            if not self.is_sparse:
                return bytes(self._stream.recv(PIECE))
            got = self._stream.recvFlags(PIECE, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE)
            if got == _HOLE:
                return Hole(self._stream.recvHole())
            return got if isinstance(got, bytes) else b""


def _open(call: Callable[[int], object], sparse_flag: int) -> bool:
    """Open the stream, with holes if that was asked for and the daemon can (libvirt >= 3.4). Returns whether."""
    if sparse_flag:
        try:
            call(sparse_flag)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _REFUSED_FLAGS:
                raise
        else:
            return True
    call(0)
    return False
