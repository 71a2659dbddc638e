"""A disk that starts: its first sector says a word on the first serial port, 18 times a second."""

from __future__ import annotations

_CODE = bytes.fromhex(
    "31c0"  # xor ax, ax
    "8ed8"  # mov ds, ax
    "be217c"  # say: mov si, 0x7c21: the word, behind this code; BIOS loads the sector to 0x7c00
    "ac"  # letter: lodsb
    "84c0"  # test al, al
    "7411"  # jz said
    "88c4"  # mov ah, al
    "bafd03"  # mov dx, 0x3fd
    "ec"  # busy: in al, dx
    "a820"  # test al, 0x20: whether the port takes a letter
    "74fb"  # jz busy
    "88e0"  # mov al, ah
    "b2f8"  # mov dl, 0xf8
    "ee"  # out dx, al
    "ebea"  # jmp letter
    "fb"  # said: sti
    "f4"  # hlt: until the clock ticks
    "ebe3"  # jmp say
)
_SECTOR = 512
_SIGNATURE = b"\x55\xaa"


def disk(word: str, size: int = 1 << 20) -> bytes:
    """A raw image of `size` bytes that says `word`."""
    sector = _CODE + f"{word}\r\n\0".encode("ascii")
    sector += bytes(_SECTOR - len(_SIGNATURE) - len(sector)) + _SIGNATURE
    return sector + bytes(size - len(sector))
