"""Reading people, groups and what they were granted, for pages. Whoever manages people in some places sees those who
were granted something there, and of their grants these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import Count, F, Q, QuerySet

from vmdash.access.models import Grant, User
from vmdash.access.roles import Permission, Role, can_everywhere

SORTS = {
    "name": F("username").asc(),
    "-name": F("username").desc(),
    "seen": F("last_login").asc(nulls_first=True),
    "-seen": F("last_login").desc(nulls_last=True),
}


def manages_all(user: User) -> bool:
    """Whether they make people and groups, and not only give grants on what is theirs."""
    return can_everywhere(user, Permission.MANAGE_PEOPLE)


def known_people(user: User) -> QuerySet[User]:
    if manages_all(user):
        return User.objects.all()
    grants = Grant.objects.visible_to(user).order_by()
    return User.objects.filter(
        Q(pk__in=grants.values("person")) | Q(pk__in=_members().filter(group__in=grants.values("group")).values("user"))
    )


def known_groups(user: User) -> QuerySet[Group]:
    """By name, with the number of their members as `people`."""
    found = Group.objects.annotate(people=Count("user")).order_by("name")
    if manages_all(user):
        return found
    return found.filter(pk__in=Grant.objects.visible_to(user).order_by().values("group"))


def _members() -> QuerySet[Any]:
    return User.groups.through.objects.all()


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Somebody in the list."""

    person: User
    roles: list[str]
    """What they hold now: "Operator on site Zürich"."""
    groups: list[Group]


def people_rows(people: Sequence[User], user: User) -> list[PersonRow]:
    """The same people in the same order. A fixed number of queries."""
    granted = Grant.objects.visible_to(user).select_related("group", "person").by_person(people)
    known = set(known_groups(user).values_list("pk", flat=True))
    groups: dict[int, list[Group]] = {person.pk: [] for person in people}
    memberships = User.groups.through.objects.filter(user__in=groups, group__in=known).select_related("group")
    for membership in memberships.order_by("group__name"):
        groups[membership.user_id].append(membership.group)
    shows_role = manages_all(user)
    return [
        PersonRow(
            person,
            [
                *([f"{Role(person.role).label} on everything"] if person.role and shows_role else []),
                *(_holding(grant) for grant in granted[person.pk]),
            ],
            groups[person.pk],
        )
        for person in people
    ]


def _holding(grant: Grant) -> str:
    through = f" (group {grant.group.name})" if grant.group else ""
    return f"{grant}{grant.until_words}{through}"


def find_people(user: User, *, q: str = "", state: str = "", sort: str = "name") -> QuerySet[User]:
    """Whose names, mail address or group have `q` in them; `state`: `on`, `off`, or empty for all."""
    found = known_people(user)
    if q:
        in_groups = _members().filter(group__in=known_groups(user).filter(name__icontains=q).values("pk"))
        names = ("username", "first_name", "last_name", "email")
        matching = Q(pk__in=in_groups.values("user"))
        for name in names:
            matching |= Q(**{f"{name}__icontains": q})
        found = found.filter(matching)
    if state:
        found = found.filter(is_active=state == "on")
    return found.order_by(SORTS[sort], "username")
