"""How far what a person was granted reaches: which permission, where.

A grant gives a role on a scope. What somebody may do to a thing follows from the places it is in (`places` of its
model): a guest is in itself, its host, its host's site, and its tags. Decided here and nowhere else; `can` in
`vmdash.access.roles` and `visible_to` of every queryset ask it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from django.db.models import Model, Q, QuerySet, TextChoices

from vmdash.access.table import ROLE_PERMISSIONS, Permission, Role

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

M = TypeVar("M", bound=Model)
Rows = TypeVar("Rows", bound="QuerySet[Any]")
Place = tuple["Scope", str]
"""A scope and the id of what it is about."""


class Scope(TextChoices):
    """What a grant can be about."""

    EVERYTHING = "everything", "everything"
    SITE = "site", "site"
    HOST = "host", "host"
    TAG = "tag", "tag"
    GUEST = "guest", "guest"


class Placed(Protocol):
    """A thing that grants can be about, or that belongs to one."""

    def places(self) -> Iterable[Place]: ...


class Reach:
    """All that one person was granted, and that counts now."""

    def __init__(self, granted: Iterable[tuple[Role, Scope, str]]) -> None:
        """`granted`: role, scope, and the id of what it is about (empty for everything)."""
        held: defaultdict[Place, frozenset[Permission]] = defaultdict(frozenset)
        for role, scope, scope_id in granted:
            held[scope, scope_id] |= ROLE_PERMISSIONS[role]
        self.everywhere = held.pop((Scope.EVERYTHING, ""), frozenset())
        self._held = dict(held)

    def __eq__(self, other: object) -> bool:
        """Those who were granted the same have the same."""
        return isinstance(other, Reach) and (self.everywhere, self._held) == (other.everywhere, other._held)

    def __hash__(self) -> int:
        return hash((self.everywhere, frozenset(self._held.items())))

    def narrowed_to(self, permissions: frozenset[Permission]) -> Reach:
        """The same places, and of what may be done there these permissions alone."""
        narrowed = Reach(())
        narrowed.everywhere = self.everywhere & permissions
        held = {place: granted & permissions for place, granted in self._held.items()}
        narrowed._held = {place: granted for place, granted in held.items() if granted}
        return narrowed

    @property
    def is_something(self) -> bool:
        """Whether there is anything that they may do."""
        return bool(self.everywhere or self._held)

    @property
    def kinds(self) -> set[frozenset[Permission]]:
        """What they may do to one thing or another."""
        return {held for held in (self.everywhere, *self._held.values()) if held}

    def anywhere(self, permission: Permission) -> bool:
        """Whether there is anything to which they may do it."""
        return permission in self.everywhere or any(permission in held for held in self._held.values())

    def covers(self, permission: Permission, places: Iterable[Place]) -> bool:
        """Whether they may do it to something that is in these places."""
        if permission in self.everywhere:
            return True
        return bool(self._held) and any(permission in self._held.get(place, ()) for place in places)

    def ids(self, permission: Permission, scope: Scope) -> list[str]:
        """Of the sites, hosts, tags or guests on which it was granted."""
        return [scope_id for (kind, scope_id), held in self._held.items() if kind == scope and permission in held]


NOWHERE = Reach(())


def reach_of(user: User | AnonymousUser) -> Reach:
    """Of somebody who is signed out or was deactivated: nowhere."""
    if not user.is_authenticated or not user.is_active:
        return NOWHERE
    return user.reach


Paths = Mapping[Scope, Sequence[str]]
"""The lookups from a row to the things that scopes are about."""


def along(lookup: str, paths: Paths) -> dict[Scope, list[str]]:
    """The paths of what `lookup` leads to, from the row where it begins."""
    return {
        scope: [lookup if path == "pk" else f"{lookup}__{path}" for path in lookups] for scope, lookups in paths.items()
    }


def within(
    queryset: Rows,
    user: User | AnonymousUser,
    paths: Paths,
    permission: Permission = Permission.VIEW,
) -> Rows:
    """The rows to which `user` may do it."""
    reach = reach_of(user)
    if permission in reach.everywhere:
        return queryset
    permitted = Q(pk__in=[])
    for scope, lookups in paths.items():
        if ids := reach.ids(permission, scope):
            for lookup in lookups:
                # Each by itself: a join with tags would bring a row once for every tag.
                found = queryset.model._default_manager.filter(**{f"{lookup}__in": ids})
                permitted |= Q(pk__in=found.values("pk"))
    return queryset.filter(permitted)


class PlacedQuerySet(QuerySet[M]):
    """Rows that grants reach along `paths`, or as an `open_to` of their own says."""

    paths: ClassVar[Paths]

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The rows that `user` may know of. Every queryset shown to a person starts here."""
        return self.open_to(user, Permission.VIEW)

    def open_to(self, user: User | AnonymousUser, permission: Permission) -> Self:
        """Those to which `user` may do it."""
        return within(self, user, self.paths, permission)
