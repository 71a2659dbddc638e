"""Of which hosts and guests a person hears, worked out anew every second while a page is open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from vmdash.access.reach import Reach, Scope, reach_of
from vmdash.access.roles import Permission
from vmdash.access.subjects import Subject, reached

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Sight:
    """Some hosts with all their guests, and some guests of other hosts."""

    hosts: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    """Of these hosts."""
    guests: frozenset[str] = frozenset()
    """UUIDs of guests that are seen without their host."""
    carriers: frozenset[int] = frozenset()
    """The hosts of those."""
    carrier_names: frozenset[str] = frozenset()

    def has_guest(self, uuid: str, host: int) -> bool:
        return host in self.hosts or uuid in self.guests

    def has_target(self, kind: str, target_id: str, host_name: str) -> bool:
        """Whether a job is about what is seen."""
        return host_name in self.names or (kind == "domain" and target_id in self.guests)


@dataclass(frozen=True, slots=True)
class Sights:
    """What one person may see, and of what they may see everybody's jobs, and the screens; None is everything."""

    seen: Sight | None = Sight()
    jobs: Sight | None = Sight()
    screens: Sight | None = Sight()


NOTHING = Sights()
_PERMISSIONS = (Permission.VIEW, Permission.VIEW_ALL_JOBS, Permission.CONSOLE)
"""In the order of `Sights`."""


def sights_of(people: Mapping[K, User]) -> dict[K, Sights]:
    """By the same keys. At most six queries for all those who were granted the same."""
    found: dict[Reach, Sights] = {}
    by_key = {}
    for key, person in people.items():
        reach = reach_of(person)
        if reach not in found:
            found[reach] = Sights(*(_sight(person, reach, permission) for permission in _PERMISSIONS))
        by_key[key] = found[reach]
    return by_key


def _sight(person: User, reach: Reach, permission: Permission) -> Sight | None:
    if permission in reach.everywhere:
        return None
    if not reach.anywhere(permission):
        return Sight()
    hosts = dict(reached(Subject.HOST, person, permission).values_list("pk", "name"))
    guests: list[tuple[UUID, int, str]] = []
    if reach.ids(permission, Scope.TAG) or reach.ids(permission, Scope.GUEST):
        alone = reached(Subject.GUEST, person, permission).exclude(host__in=list(hosts))
        guests = list(alone.values_list("pk", "host", "host__name"))
    return Sight(
        frozenset(hosts),
        frozenset(hosts.values()),
        frozenset(str(uuid) for uuid, _, _ in guests),
        frozenset(host for _, host, _ in guests),
        frozenset(name for _, _, name in guests),
    )


def screens_of(person: User | AnonymousUser, uuids: Iterable[str]) -> Collection[str]:
    """Of these guests, those whose screen they may see. One query."""
    found = reached(Subject.GUEST, person, Permission.CONSOLE).filter(pk__in=list(uuids))
    return {str(uuid) for uuid in found.values_list("pk", flat=True)}
