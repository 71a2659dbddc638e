"""What people have in their hands: an authenticator app, and a device with passkeys as the Web Authentication standard
has it, for tests without a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


def code_of(secret: str) -> str:
    """What the app shows at this moment."""
    return str(format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time())))))


def options_in(page: str) -> dict[str, Any]:
    """What the page tells its script to ask the browser for."""
    found = re.search(r'<script id="passkey-options" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options


class Device:
    """One passkey, for `origin`."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.credential_id = secrets.token_bytes(32)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._user = ""
        self._uses = 0

    def make(self, options: dict[str, Any], *, alone: bool = False) -> str:
        """The answer to a page that adds a passkey; `alone`: it may take the place of the password."""
        asked = options["creation_options"]["publicKey"]
        self._user = asked["user"]["id"]
        key = cbor.encode(dict(ES256.from_cryptography_key(self._key.public_key())))
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + key
        data = self._data(asked["rp"]["id"], PRESENT | VERIFIED | HAS_KEY) + attested
        answer = {
            "clientDataJSON": self._client_data("webauthn.create", asked["challenge"]),
            "attestationObject": _text(cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal"],
        }
        return self._credential(answer, {"credProps": {"rk": alone}})

    def use(self, options: dict[str, Any], *, verified: bool = True) -> str:
        """The answer to a page that asks for a passkey; `verified`: a PIN, a finger or a face was asked for."""
        asked = options["request_options"]["publicKey"]
        data = self._data(asked["rpId"], PRESENT | (VERIFIED if verified else 0))
        client_data = self._client_data("webauthn.get", asked["challenge"])
        signed = data + hashlib.sha256(_bytes(client_data)).digest()
        answer = {
            "clientDataJSON": client_data,
            "authenticatorData": _text(data),
            "signature": _text(self._key.sign(signed, ec.ECDSA(SHA256()))),
            "userHandle": self._user,
        }
        return self._credential(answer, {})

    def _data(self, name: str, flags: int) -> bytes:
        self._uses += 1
        return hashlib.sha256(name.encode()).digest() + bytes([flags]) + self._uses.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str) -> str:
        return _text(json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode())

    def _credential(self, response: dict[str, Any], extensions: dict[str, Any]) -> str:
        name = _text(self.credential_id)
        whole = {"id": name, "rawId": name, "type": "public-key", "response": response}
        return json.dumps({**whole, "clientExtensionResults": extensions, "authenticatorAttachment": "platform"})


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
