"""The one call of libvirt's wire protocol that we make ourselves: "which authentication do you want?".

It needs no login, a daemon answers it even while its workers are busy, and nothing but libvirt gives a well-formed
reply. Source: virnetprotocol.x (a packet is its own length, then program, version, procedure, type, serial, status,
each a 32-bit number) and remote_protocol.x (REMOTE_PROC_AUTH_LIST = 66, which returns a list of 32-bit numbers).
"""

from __future__ import annotations

import struct
from typing import Protocol

_HEADER = struct.Struct(">7I")
_PROGRAM, _VERSION, _AUTH_LIST = 0x20008086, 1, 66
_CALL, _REPLY, _OK = 0, 1, 0
_MOST_BYTES = 1024

_AUTH = {0: "none", 1: "sasl", 2: "polkit"}

AUTH_LIST_CALL = _HEADER.pack(_HEADER.size, _PROGRAM, _VERSION, _AUTH_LIST, _CALL, 0, _OK)


class Readable(Protocol):
    """What ``asyncio.StreamReader`` offers of itself here; empty bytes at the end."""

    async def read(self, n: int, /) -> bytes: ...


class NotAReply(Exception):
    """What came is not libvirt's reply; ``received`` is how it begins, empty when the connection was closed."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"received {received[:40]!r}" if received else "the connection was closed")
        self.received = received


async def read_auth_list(reader: Readable) -> tuple[str, ...]:
    """The authentication methods offered ("none", "sasl", "polkit") after AUTH_LIST_CALL was sent. Raises NotAReply."""
    header = await _read(reader, _HEADER.size, b"")
    length, program, version, procedure, kind, _, status = _HEADER.unpack(header)
    if (program, version, procedure, kind) != (_PROGRAM, _VERSION, _AUTH_LIST, _REPLY) or not (
        _HEADER.size <= length <= _MOST_BYTES
    ):
        raise NotAReply(header)
    body = await _read(reader, length - _HEADER.size, header)
    if status != _OK:  # libvirt it is, though it refuses even this
        return ()
    count, *methods = struct.unpack(f">{len(body) // 4}I", body[: len(body) // 4 * 4])
    return tuple(_AUTH.get(method, str(method)) for method in methods[:count])


async def _read(reader: Readable, count: int, before: bytes) -> bytes:
    """Like readexactly, but it looks at every piece: a server of another protocol must not keep us waiting."""
    data = b""
    while len(data) < count:
        piece = await reader.read(count - len(data))
        data += piece
        received = before + data
        if not piece or not _could_be_reply(received):
            raise NotAReply(received)
    return data


def _could_be_reply(received: bytes) -> bool:
    """Lengths are below 64 KiB and the program number is fixed; text and TLS records differ in the first bytes."""
    program = _PROGRAM.to_bytes(4, "big")
    return received[:2] == b"\0\0"[: len(received)] and received[4:8] == program[: len(received[4:8])]
