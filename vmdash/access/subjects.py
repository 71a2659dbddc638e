"""What grants can be about, for rows that name it by name or id and not by a foreign key: grants, jobs, alerts, live
messages.

Those rows are further down than the apps of hosts and guests, which say here how they are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from vmdash.access.reach import Paths, Place, Placed, within
from vmdash.access.table import Permission

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


class Subject(StrEnum):
    """Each has the value of its `Scope`."""

    SITE = "site"
    TAG = "tag"
    HOST = "host"
    """Has a `name`."""
    GUEST = "guest"
    """Its primary key is its UUID, and it has a `host`; those that are gone (`gone_at`) are among them as long as their
    rows are there."""


_rows: dict[Subject, Callable[[], QuerySet[Any]]] = {}
_paths: dict[Subject, Paths] = {}


def register(subject: Subject, rows: Callable[[], QuerySet[Any]], paths: Paths) -> None:
    _rows[subject], _paths[subject] = rows, paths


def all_of(subject: Subject) -> QuerySet[Any]:
    return _rows[subject]().order_by()


def reached(subject: Subject, user: User | AnonymousUser, permission: Permission) -> QuerySet[Any]:
    """Those to which `user` may do it."""
    return within(all_of(subject), user, _paths[subject], permission)


@dataclass(frozen=True, slots=True)
class About:
    """The guest of a UUID, or else the host of a name, looked up only when somebody's rights depend on it.

    Where neither is there it is in no place: who may do something everywhere may do it to this, and nobody else.
    """

    host: str = ""
    guest: object = None

    def places(self) -> Iterable[Place]:
        found: Placed | None = None
        if self.guest:
            with suppress(ValidationError, ValueError):  # it is no UUID
                found = all_of(Subject.GUEST).filter(pk=self.guest).first()
        if found is None and self.host:
            found = all_of(Subject.HOST).filter(name=self.host).first()
        return found.places() if found else []
