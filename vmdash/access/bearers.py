"""Whoever shows a token instead of having a session, on connections that outlive a request.

Tokens are made further up, by what says here how their people are found, and how all of a person end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmdash.access.models import User

Find = Callable[[Collection[str]], dict[str, "User"]]
"""From digests of tokens that count now to their people, who may do no more than the token."""
End = Callable[["User", "User"], None]
"""Withdraws all tokens of the first, by the second."""
_finders: list[Find] = []
_enders: list[End] = []


@dataclass(frozen=True, slots=True)
class Bearer:
    """In the place of a session's key. Not a text, so that no cookie can pass for one."""

    digest: str = field(repr=False)

    @classmethod
    def of(cls, authorization: str) -> Bearer | None:
        """By the header of that name; None without a token."""
        scheme, _, text = authorization.partition(" ")
        return cls(digest_of(text.strip())) if scheme.lower() == "bearer" and text.strip() else None


Key = str | Bearer
"""Of a session, or of who shows a token."""


def digest_of(token: str) -> str:
    """SHA-256: tokens have 256 random bits, so that a slow hash would add nothing."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def register(find: Find, end: End) -> None:
    _finders.append(find)
    _enders.append(end)


def end_all_of(person: User, by: User) -> None:
    for end in _enders:
        end(person, by)


def people_bearing(bearers: Iterable[Bearer]) -> dict[Bearer, User]:
    """Those whose tokens count now. What they may do is read with them."""
    wanted = {bearer.digest: bearer for bearer in bearers}
    if not wanted:
        return {}
    return {wanted[digest]: user for find in _finders for digest, user in find(list(wanted)).items()}
