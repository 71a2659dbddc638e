"""Who may come into the console gateway, and who may stay."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.request import validate_host
from django.utils.crypto import constant_time_compare

from domains.consoles import tickets
from domains.consoles.gateway.endings import CloseCode, Ended, Ending
from domains.consoles.tickets import SUBPROTOCOL_PREFIX, Kind, Target, Ticket
from domains.models import Domain
from vmdash.access import audit
from vmdash.access.bearers import Bearer, Key
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.access.sessions import key_of, person_of

_PATH = re.compile(r"/(?P<kind>vnc|serial)/(?P<guest>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})/?\Z")


class Refused(Exception):
    """Not let in. The text is a sentence for people; `status` the HTTP answer."""

    def __init__(self, words: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who was let in."""

    user: User
    session_key: Key
    domain: Domain
    kind: Kind
    target: Target


def admit(path: str, headers: Mapping[str, str]) -> Visit:
    """Let somebody in, using up their ticket. A refusal to a known person goes to the audit trail.

    Raises:
        Refused: the request is none of ours, or the person may not.
        redis.RedisError: the ticket cannot be looked up.
    """
    session_key = key_of(headers)
    if not isinstance(session_key, Bearer):  # no page elsewhere can send a token, so a script may come from anywhere
        _check_origin(headers.get("Origin", ""))
    kind, guest = _parse_path(path)
    user = user_of(session_key)
    domain = Domain.objects.filter(pk=guest).first()
    try:
        ticket = tickets.redeem(_token(headers.get("Sec-WebSocket-Protocol", "")))
    except tickets.TicketInvalid:
        raise _refusal(user, domain, "The ticket was used already or is too old. Open the console again.") from None
    if not isinstance(user, User) or not _is_for(ticket, user, session_key):
        raise _refusal(user, domain, "The ticket was made for another person or another sign-in.", ticket)
    if (ticket.guest, ticket.kind) != (guest, kind):
        raise _refusal(user, domain, "The ticket is for another console.")
    if domain is None or domain not in Domain.objects.visible_to(user):
        raise _refusal(user, domain, "There is no such guest.")
    if not can(user, Permission.CONSOLE, domain):
        raise _refusal(user, domain, f"You may not {Permission.CONSOLE.label}.")
    return Visit(user, session_key, domain, kind, ticket.target)


def check_stay(visit: Visit) -> None:
    """Whether the visit may go on.

    Raises:
        Ended: they signed out, lost the right, or the guest is gone.
    """
    user = user_of(visit.session_key)
    if not isinstance(user, User) or user != visit.user:
        raise Ended(Ending(CloseCode.SIGNED_OUT, "You were signed out."))
    domain = Domain.objects.visible_to(user).filter(pk=visit.domain.pk).first()
    if not can(user, Permission.CONSOLE, domain or visit.domain):
        raise Ended(Ending(CloseCode.RIGHT_WITHDRAWN, "Your right to this console was withdrawn."))
    if domain is None:
        raise Ended(Ending(CloseCode.GUEST_GONE, "The guest is gone."))


def user_of(session_key: Key) -> User | AnonymousUser:
    """Who is signed in with that session now; nobody when it ended or the password was changed since. Or whose token it
    is, while that counts."""
    if isinstance(session_key, Bearer):
        return person_of(session_key)
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else AnonymousUser()


def _check_origin(origin: str) -> None:
    """Only vmdash's own pages: without this, any page could use a signed-in browser."""
    try:
        name = urlsplit(origin).hostname or ""
    except ValueError:
        name = ""
    name = f"[{name}]" if ":" in name else name
    if origin not in settings.CSRF_TRUSTED_ORIGINS and not validate_host(name, settings.ALLOWED_HOSTS):
        raise Refused("Consoles are opened by the pages of vmdash only.")


def _parse_path(path: str) -> tuple[Kind, UUID]:
    if match := _PATH.search(urlsplit(path).path):
        return Kind(match["kind"]), UUID(match["guest"])
    raise Refused("There is no console at this address.", HTTPStatus.NOT_FOUND)


def _token(protocols: str) -> str:
    for protocol in protocols.split(","):
        if protocol.strip().startswith(SUBPROTOCOL_PREFIX):
            return protocol.strip().removeprefix(SUBPROTOCOL_PREFIX)
    raise Refused("A console needs a ticket.", HTTPStatus.BAD_REQUEST)


def _is_for(ticket: Ticket, user: User, session_key: Key) -> bool:
    return ticket.user_id == user.pk and constant_time_compare(ticket.session, tickets.session_digest(session_key))


def _refusal(user: User | AnonymousUser, domain: Domain | None, words: str, ticket: Ticket | None = None) -> Refused:
    """A refusal; recorded when a person stands behind it, so that strangers cannot fill the audit trail. A `ticket`
    stands for one: it was made for somebody, and is used up."""
    if isinstance(user, User) or ticket:
        audit.record(
            user=user if isinstance(user, User) else None,
            action="console.connect",
            target_kind="domain",
            target_id=domain.pk if domain else "",
            target_name=domain.name if domain else "",
            refused=True,
            detail=words,
        )
    return Refused(words)
