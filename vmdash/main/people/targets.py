"""From words to what grants are about: a site, host, tag or guest by its name, a pool by its host's and its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from domains.models import Domain
from hosts.models import Host
from storage.models import Pool
from vmdash.access import subjects
from vmdash.access.models import User
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission
from vmdash.access.subjects import Subject
from vmdash.exceptions import InvalidInput

POOL = "pool"
_MOST_NAMED = 200
"""Offered while one writes."""


def find(user: User, kind: str, text: str) -> Any:
    """The row that is meant; None for everything. `kind` is a `Scope` or `POOL`. Only what is in the places where
    `user` manages people is found.

    Raises:
        InvalidInput: there is no such thing, or there are several.
    """
    if kind == Scope.EVERYTHING:
        return None
    if not text:
        raise InvalidInput(f"Say which {kind}.")
    found = list(_matching(user, kind, text)[:6])
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(one.pk) for one in found[:5])
        raise InvalidInput(f"Several guests have this name. Write the UUID: {ids}{' …' if len(found) > 5 else ''}.")
    raise InvalidInput(f"There is no such {kind}, or you do not manage people there.")


def _matching(user: User, kind: str, text: str) -> QuerySet[Any]:
    if kind == Scope.GUEST:
        guests = Domain.objects.open_to(user, Permission.MANAGE_PEOPLE)
        uuid = _uuid(text)
        return guests.filter(pk=uuid) if uuid else guests.filter(name=text)
    if kind == POOL:
        host, _, name = text.partition("/")
        return Pool.objects.open_to(user, Permission.MANAGE_PEOPLE).filter(host__name=host, name=name)
    return _managed(user, Subject(kind)).filter(name=text)


def _managed(user: User, subject: Subject) -> QuerySet[Any]:
    return subjects.reached(subject, user, Permission.MANAGE_PEOPLE)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def names(user: User) -> Iterable[str]:
    """Sites, tags and hosts, for a list to choose from; guests may be many, and are written."""
    for subject in (Subject.SITE, Subject.TAG):
        yield from _managed(user, subject).order_by("name").values_list("name", flat=True)[:_MOST_NAMED]
    hosts = Host.objects.open_to(user, Permission.MANAGE_PEOPLE)
    yield from hosts.order_by("name").values_list("name", flat=True)[:_MOST_NAMED]
