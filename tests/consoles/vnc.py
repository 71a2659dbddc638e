"""The start of the RFB protocol (RFC 6143), as much as tells whether a password is right."""

from __future__ import annotations

import struct
import warnings

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from websockets.sync.client import ClientConnection

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # DES is what VNC has
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

VNC_AUTHENTICATION = 2
TIMEOUT_S = 20


class VncClient:
    """Reads messages of a size out of a WebSocket."""

    def __init__(self, console: ClientConnection) -> None:
        self._console = console
        self._buffer = b""

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._console.recv(timeout=TIMEOUT_S, decode=False)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def send(self, data: bytes) -> None:
        self._console.send(data)

    def authenticate(self, password: str) -> bool:
        """Whether the password is right (RFC 6143, 7.1 and 7.2.2)."""
        assert self.read(12).startswith(b"RFB 003.")
        self.send(b"RFB 003.008\n")
        kinds = self.read(self.read(1)[0])
        assert VNC_AUTHENTICATION in kinds, f"It offers {list(kinds)}."
        self.send(bytes([VNC_AUTHENTICATION]))
        self.send(_encrypt(self.read(16), password))
        return struct.unpack(">I", self.read(4)) == (0,)

    def size(self) -> tuple[int, int]:
        """The screen's width and height in pixels, after authentication (7.3)."""
        self.send(b"\x01")
        width, height = struct.unpack(">HH", self.read(4))
        return width, height


def _encrypt(challenge: bytes, password: str) -> bytes:
    """DES with the bits of each byte of the key reversed."""
    padded = password.encode().ljust(8, b"\0")[:8]
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in padded)
    encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()
