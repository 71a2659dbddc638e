"""Signatures as Standard Webhooks has them (https://www.standardwebhooks.com): every language has a library for it."""

from __future__ import annotations

import base64
import hashlib
import hmac

from vmdash.webhooks.services import SECRET_PREFIX


def headers(*, secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that let the receiver check who sent `body`, when, and whether it was sent before."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
