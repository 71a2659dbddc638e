"""The right to send or fetch the content of one volume, in Redis: short-lived, bound to a person and a session (of a
script: the token that it shows).

A ticket is kept under its hash, so that a look at Redis' keys gives nobody a volume.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass
from enum import StrEnum
from uuid import UUID

import orjson

from vmdash.access.bearers import Key
from vmdash.live.redis import PREFIX, client

UPLOAD_S = 60
"""A ticket for an upload is used once, within this time. Each time a browser comes back it asks for another."""
DOWNLOAD_S = 12 * 3600
"""A ticket for a download is good for so long, by the same session: browsers resume with the address they have."""


class Way(StrEnum):
    UPLOAD = "upload"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True)
class Ticket:
    user_id: int
    session: str
    """`session_digest` of the session that asked."""
    way: Way
    what: str
    """The id of the upload, or of the volume's row."""


class TicketInvalid(Exception):
    """The ticket was used already, is too old, or never was one. These cannot be told apart."""


def session_digest(key: Key) -> str:
    """Names a session, or who shows a token, without being able to take it over."""
    text = f"transfer:{key}" if isinstance(key, str) else f"transfer-token:{key.digest}"
    return hashlib.sha256(text.encode()).hexdigest()


def issue(ticket: Ticket) -> str:
    """A token of 256 random bits that stands for `ticket`. Raises `redis.RedisError`."""
    token = secrets.token_urlsafe(32)
    lifetime = UPLOAD_S if ticket.way is Way.UPLOAD else DOWNLOAD_S
    client().set(_key(token), orjson.dumps(asdict(ticket)), ex=lifetime)
    return token


def redeem(token: str, way: Way) -> Ticket:
    """The ticket that `token` stands for; one for an upload stands for nothing from now on.

    Raises:
        TicketInvalid: it stands for none.
        redis.RedisError: Redis is away.
    """
    found = client().getdel(_key(token)) if way is Way.UPLOAD else client().get(_key(token))
    if found is None:
        raise TicketInvalid
    fields = orjson.loads(found)
    ticket = Ticket(**{**fields, "way": Way(fields["way"])})
    if ticket.way is not way:
        raise TicketInvalid
    return ticket


def tell_progress(upload_id: UUID, received_bytes: int) -> None:
    """How much of an upload has come, for the job that shows it. Raises `redis.RedisError`."""
    client().set(_progress_key(upload_id), received_bytes, ex=3600)


def progress(upload_id: UUID) -> int:
    """What `tell_progress` told last; 0 when it did not. Raises `redis.RedisError`."""
    return int(client().get(_progress_key(upload_id)) or 0)


def _key(token: str) -> str:
    return f"{PREFIX}:transfer-ticket:{hashlib.sha256(token.encode()).hexdigest()}"


def _progress_key(upload_id: UUID) -> str:
    return f"{PREFIX}:upload-progress:{upload_id}"
