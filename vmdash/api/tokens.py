"""Making, finding and withdrawing tokens."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from vmdash.access.audit import record
from vmdash.access.bearers import digest_of
from vmdash.access.models import User
from vmdash.access.second_factor import lacking
from vmdash.api.models import Token, TokenScope
from vmdash.exceptions import Conflict, InvalidInput
from vmdash.live.redis import PREFIX, client

PREFIX_OF_TOKENS = "vmdash_"
"""So that a token that lies about is known for what it is."""
MOST_TOKENS = 50
LONGEST = timedelta(days=366 * 5)
_USE_WRITTEN_EVERY = timedelta(minutes=1)
_REFUSAL_WRITTEN_EVERY_S = 3600


def make(*, user: User, name: str, scope: TokenScope, until: datetime | None) -> tuple[Token, str]:
    """A new token of a person, and its text, which nobody can find out again.

    Raises:
        InvalidInput: it would end in the past or in too long a time. Conflict: they have one of that name, or too many.
    """
    if until is not None and not timezone.now() < until <= timezone.now() + LONGEST:
        raise InvalidInput("A token ends in the future, and within five years.")
    if Token.objects.filter(user=user).count() >= MOST_TOKENS:
        raise Conflict(f"You have {MOST_TOKENS} tokens.", hint="Withdraw those that you do not need any more.")
    text = PREFIX_OF_TOKENS + secrets.token_urlsafe(32)
    token = Token(
        user=user,
        name=name,
        digest=digest_of(text),
        beginning=text[: len(PREFIX_OF_TOKENS) + 4],
        scope=scope,
        until=until,
    )
    try:
        with transaction.atomic():
            token.save(force_insert=True)
            ends = f"until {until:%Y-%m-%d %H:%M %Z}" if until else "without an end"
            _record(token, user, "token.make", f"{scope}, {ends}")
    except IntegrityError:
        raise Conflict(f"You have a token “{name}” already.", hint="Choose another name.") from None
    return token, text


def withdraw(*, token: Token, user: User) -> None:
    """From now on nobody comes in with it; what is open with it ends within 2 s."""
    with transaction.atomic():
        whose = "" if token.user_id == user.pk else f" of {token.user}"
        _record(token, user, "token.withdraw", f"{token.scope}{whose}")
        token.delete()


def withdraw_all_of(person: User, by: User) -> None:
    for token in Token.objects.filter(user=person):
        withdraw(token=token, user=by)


def find(text: str) -> Token | None:
    """The token of that text, with its person, if it counts now. What comes with one that has ended is recorded, once
    an hour."""
    token = Token.objects.select_related("user").filter(digest=digest_of(text)).first()
    if token is None:
        return None
    if token.has_ended or not token.user.is_active:
        _record_ended(token)
        return None
    return token


def person_of(token: Token) -> User:
    """The person, who may do no more than the token and no more than themselves."""
    person = token.user
    person.token = token.name
    person.reach = person.reach.narrowed_to(TokenScope(token.scope).permissions)
    return person


def note_use(token: Token, address: str = "") -> None:
    """Once a minute is enough. Without an address the last one stays."""
    now = timezone.now()
    seldom = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_WRITTEN_EVERY)
    used: dict[str, datetime | str] = {"last_used_at": now}
    if address:
        used["last_used_from"] = address
    if token.last_used_at is None or token.last_used_at < now - _USE_WRITTEN_EVERY:
        Token.objects.filter(seldom, pk=token.pk).update(**used)


def people_of(digests: Collection[str]) -> dict[str, User]:
    """The people of those tokens that count now, by digest: for connections that stay. Not of those who lack a second
    factor that they need. Many connections are asked about at once: the address at hand may be of any of them."""
    found = list(Token.objects.current().filter(digest__in=digests).select_related("user"))
    lacks = lacking([token.user for token in found])
    found = [token for token in found if token.user_id not in lacks]
    for token in found:
        note_use(token)
    return {token.digest: person_of(token) for token in found}


def _record_ended(token: Token) -> None:
    if client().set(f"{PREFIX}:token-refused:{token.pk}", 1, nx=True, ex=_REFUSAL_WRITTEN_EVERY_S):
        _record(token, token.user, "token.use", "It has ended.", refused=True)


def _record(token: Token, user: User, action: str, detail: str, *, refused: bool = False) -> None:
    record(
        user=user,
        action=action,
        target_kind="token",
        target_id=token.pk or "",
        target_name=token.name,
        detail=detail,
        refused=refused,
    )
