"""The one call of libvirt's protocol that the probe makes: right replies in any pieces, wrong ones at once."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt.rpc import AUTH_LIST_CALL, NotAReply, read_auth_list

HEADER = (0x20008086, 1, 66, 1, 0, 0)


def reply(*methods: int) -> bytes:
    body = struct.pack(f">{len(methods) + 1}I", len(methods), *methods)
    return struct.pack(">7I", 28 + len(body), *HEADER) + body


class Pieces:
    """A stream that gives what it has in pieces of the given sizes, and then its end."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = data
        self._sizes = sizes

    async def read(self, n: int, /) -> bytes:
        size = min(n, self._sizes.pop() if self._sizes else n)
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def read(data: bytes, sizes: list[int] | None = None) -> tuple[str, ...]:
    return asyncio.run(read_auth_list(Pieces(data, sizes or [])))


def test_the_call_is_as_libvirt_sends_it() -> None:
    assert AUTH_LIST_CALL.hex(" ", 4) == "0000001c 20008086 00000001 00000042 00000000 00000000 00000000"


@given(st.lists(st.integers(1, 12), max_size=30))
def test_a_reply_is_understood_in_whatever_pieces_it_comes(sizes: list[int]) -> None:
    assert read(reply(1, 2), sizes) == ("sasl", "polkit")


def test_methods_of_the_future_are_named_by_number() -> None:
    assert read(reply(0, 9)) == ("none", "9")


@given(st.binary(max_size=200))
def test_anything_else_is_no_reply(data: bytes) -> None:
    with pytest.raises(NotAReply):
        read(data)


@given(st.integers(0, 35))
def test_a_reply_that_breaks_off_is_none(length: int) -> None:
    with pytest.raises(NotAReply):
        read(reply(1)[:length])


@pytest.mark.parametrize("text", [b"HTTP/1.1 400", b"SSH-2.0-x", b"\x15\x03\x03\x00\x02\x02\x28", b"RFB 003.008\n"])
def test_other_protocols_are_recognised_by_their_first_bytes(text: bytes) -> None:
    """Before a whole header has come: such a server may say no more."""

    async def first_piece_only() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(text[:6])  # and no end
        async with asyncio.timeout(5):
            await read_auth_list(reader)

    with pytest.raises(NotAReply):
        asyncio.run(first_piece_only())
