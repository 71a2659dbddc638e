"""What is on its way to a console, in Redis: short-lived, each read once.

Neither passwords nor tickets are ever written to the database or to a log. A ticket is kept under
its hash, so that a look at Redis' keys gives nobody a console.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from vmdash.access.bearers import Key
from vmdash.live.redis import PREFIX, client

LIFETIME_S = 30
"""How long a ticket, a password and an opening can be used."""

SUBPROTOCOL_PREFIX = "ticket."
"""A token travels as a WebSocket subprotocol: unlike addresses, proxies do not log those."""


class Kind(StrEnum):
    """Which console of a guest."""

    VNC = "vnc"
    SERIAL = "serial"

    @property
    def words(self) -> str:
        return "screen" if self is Kind.VNC else "serial console"


class Route(StrEnum):
    """How the gateway reaches a console."""

    DIRECT = "direct"
    """A TCP connection, or a UNIX socket on the gateway's own machine."""
    SSH = "ssh"
    """Through the host's SSH server."""
    LIBVIRT = "libvirt"
    """A stream of the gateway's own libvirt connection."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a console is: `address` and `port` as seen from the end of the route.

    An address that begins with a slash is a UNIX socket (and has no port). Libvirt needs neither.
    """

    host_id: int
    route: Route
    address: str = ""
    port: int = 0
    take_over: bool = False
    """Take a serial console away from whoever has it open."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the worker found out, for the one who asked. `password` is empty where none could be set."""

    target: Target
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right of one person, in one session, to one console of one guest, once."""

    user_id: int
    session: str
    """`session_digest` of the session that asked."""
    guest: UUID
    kind: Kind
    target: Target


class TicketInvalid(Exception):
    """The ticket was used already, is too old, or never was one. These cannot be told apart."""


def session_digest(key: Key) -> str:
    """Names a session, or who shows a token, without being able to take it over."""
    text = f"console:{key}" if isinstance(key, str) else f"console-token:{key.digest}"
    return hashlib.sha256(text.encode()).hexdigest()


def leave_opening(job_id: UUID, opening: Opening) -> None:
    """Leave it for the one who asked for the job. Raises `redis.RedisError`."""
    client().set(_opening_key(job_id), orjson.dumps(asdict(opening)), ex=LIFETIME_S)


def take_opening(job_id: UUID) -> Opening | None:
    """The opening of that job, once; the caller has checked whose job it is. Raises `redis.RedisError`."""
    found = client().getdel(_opening_key(job_id))
    if found is None:
        return None
    fields = orjson.loads(found)
    return Opening(target=_target(fields["target"]), password=fields["password"])


def issue(ticket: Ticket) -> str:
    """A token of 256 random bits that stands for `ticket`. Raises `redis.RedisError`."""
    token = secrets.token_urlsafe(32)
    client().set(_ticket_key(token), orjson.dumps(asdict(ticket)), ex=LIFETIME_S)
    return token


def redeem(token: str) -> Ticket:
    """The ticket that `token` stands for; from now on it stands for nothing.

    Raises:
        TicketInvalid: it stands for none.
        redis.RedisError: Redis is away.
    """
    found = client().getdel(_ticket_key(token))
    if found is None:
        raise TicketInvalid
    fields = orjson.loads(found)
    return Ticket(
        user_id=fields["user_id"],
        session=fields["session"],
        guest=UUID(fields["guest"]),
        kind=Kind(fields["kind"]),
        target=_target(fields["target"]),
    )


def _target(fields: dict[str, Any]) -> Target:
    return Target(**{**fields, "route": Route(fields["route"])})


def _opening_key(job_id: UUID) -> str:
    return f"{PREFIX}:console-opening:{job_id}"


def _ticket_key(token: str) -> str:
    return f"{PREFIX}:console-ticket:{hashlib.sha256(token.encode()).hexdigest()}"
