"""Grants: who may do what where. For those who manage people."""

from datetime import datetime
from typing import Literal

from django.contrib.auth.models import Group
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Query, Router, Schema, Status

from vmdash.access import granting, subjects
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.models import Grant as Row
from vmdash.access.models import User
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission, Role
from vmdash.access.subjects import Subject
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, Paging, Window
from vmdash.exceptions import InvalidInput, NotFound

router = Router(tags=["grants"])


class Grant(Schema):
    id: int
    person: str
    group: str
    role: str
    scope: str
    on: str = Field(description="In words: “everything”, “host kvm1”.")
    until: datetime | None
    made_at: datetime
    made_by: str

    @classmethod
    def of(cls, row: Row) -> "Grant":
        return cls(
            id=row.pk,
            person=row.person.username if row.person else "",
            group=row.group.name if row.group else "",
            role=row.role,
            scope=row.scope,
            on=row.on,
            until=row.until,
            made_at=row.made_at,
            made_by=row.made_by.username if row.made_by else "",
        )


class GrantFilters(Paging):
    person: Line = ""
    group: Line = ""


class GrantWish(Input):
    person: Line = Field("", description="A user name; or else `group`.")
    group: Line = ""
    role: Literal["viewer", "help_desk", "operator", "administrator"]
    scope: Literal["everything", "site", "host", "tag", "guest"]
    on: Line = Field("", description="The name of the site, host or tag; the UUID of the guest.")
    until: datetime | None = Field(None, description="When it ends by itself.")


@router.get("", response=Window[Grant])
@allow(Permission.MANAGE_PEOPLE)
def list_grants(request: SignedInRequest, filters: Query[GrantFilters]) -> Window[Grant]:
    """Those on what is in the places where you manage people."""
    found = Row.objects.visible_to(request.user).select_related("person", "group", "made_by")
    if filters.person:
        found = found.filter(person__username=filters.person)
    if filters.group:
        found = found.filter(group__name=filters.group)
    return Window[Grant].out_of([Grant.of(row) for row in filters.of(found)], found.count(), filters)


@router.post("", response={201: Grant})
@allow(Permission.MANAGE_PEOPLE)
@once
def give_grant(request: SignedInRequest, wish: GrantWish) -> Status[Grant]:
    """Never more than you have there yourself. Who has it already gets the new end."""
    scope = Scope(wish.scope)
    until = wish.until
    if until is not None and timezone.is_naive(until):
        raise InvalidInput("An end has a time zone: 2030-01-31T12:00:00Z.")
    made = granting.give(
        request.user,
        to=_holder(wish),
        role=Role(wish.role),
        scope=scope,
        scope_id=_id_of(request.user, scope, wish.on),
        until=until,
    )
    return Status(201, Grant.of(made))


@router.delete("/{int:grant}", response={204: None})
@allow(Permission.MANAGE_PEOPLE)
def end_grant(request: SignedInRequest, grant: int) -> Status[None]:
    """It counts no more from now on, in pages that are open too."""
    granting.end(request.user, get_object_or_404(Row.objects.visible_to(request.user), pk=grant))
    return Status(204, None)


def _holder(wish: GrantWish) -> User | Group:
    if bool(wish.person) == bool(wish.group):
        raise InvalidInput("Name a person or a group.")
    found = (
        User.objects.filter(username=wish.person).first()
        if wish.person
        else Group.objects.filter(name=wish.group).first()
    )
    if found is None:
        raise NotFound(f"There is no {'person' if wish.person else 'group'} {wish.person or wish.group}.")
    return found


def _id_of(actor: User, scope: Scope, on: str) -> object:
    """What the service knows it by. Raises InvalidInput, NotFound."""
    if scope == Scope.EVERYTHING:
        if on:
            raise InvalidInput("A grant on everything is on nothing else.")
        return ""
    if scope == Scope.GUEST:
        return on
    found = subjects.reached(Subject(scope), actor, Permission.VIEW).filter(name=on).first()
    if found is None:
        raise NotFound(f"There is no such {scope.label}.")
    return found.pk
