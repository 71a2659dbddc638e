"""From a volume to a browser."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmdash.virt import xml
from vmdash.virt.xml.volume import VolumeDefinition

if TYPE_CHECKING:
    from vmdash.virt.transfer import DownloadStream
    from vmdash.virt.volume import Volume

_ZEROS = bytes(1 << 20)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


class RangeRefused(Exception):
    """There is nothing at that range."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a volume holds at this moment: `length` bytes; `etag` changes when the host sees it written to."""

    length: int
    etag: str


def content_of(volume: Volume) -> Content:
    """Raises VirtError."""
    text = volume.xml()
    definition = VolumeDefinition.parse(text)
    changed = xml.parse(text).findtext("./target/timestamps/mtime", "")
    length = definition.physical_bytes or definition.capacity_bytes
    digest = hashlib.sha256(f"{definition.key}\n{length}\n{changed}".encode()).hexdigest()
    return Content(length, f'"{digest[:32]}"')


def part(header: str, length: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a Range header asks for; None: the whole. Only single ranges.

    Raises RangeRefused.
    """
    match = _RANGE.match(header.strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        begin, end = max(0, length - int(last)), length
    else:
        begin, end = int(first), min(length, int(last) + 1 if last else length)
    if begin >= end:
        raise RangeRefused
    return begin, end


def send(volume: Volume, begin: int, end: int, write: Callable[[bytes], object]) -> int:
    """Hand the bytes from `begin` to `end` to `write`, which blocks as it likes. Returns how many they were.

    Raises VirtError, or what `write` raises.
    """
    sent = 0
    if begin == end:
        return 0
    opened: AbstractContextManager[DownloadStream] = volume.download(offset=begin, length=end - begin, sparse=True)
    with opened as stream:
        while piece := stream.read():
            if isinstance(piece, bytes):
                write(piece)
                sent += len(piece)
                continue
            left = piece.length
            while left > 0:
                zeros = _ZEROS[:left] if left < len(_ZEROS) else _ZEROS
                write(zeros)
                left -= len(zeros)
            sent += piece.length
    return sent
