"""People: their accounts, roles and passwords. What they are granted is under `/grants`."""

from datetime import datetime
from typing import Literal

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status

from vmdash.access import accounts
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.models import User
from vmdash.access.people import PersonRow, find_people, known_people, manages_all, people_rows
from vmdash.access.roles import Permission
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, Paging, Window, same_named

router = Router(tags=["people"])

Role = Literal["", "viewer", "help_desk", "operator", "administrator"]


class Person(Schema):
    id: int
    username: str
    first_name: str
    last_name: str
    email: str
    role: str = Field(description="Of the account, on everything; told to those who manage people everywhere.")
    holds: list[str] = Field(description="In words, with what was granted in the places where you manage people.")
    groups: list[str]
    is_active: bool
    kept_by: str = Field(description="Where else the account is kept, such as a directory.")
    last_login: datetime | None

    @classmethod
    def of(cls, row: PersonRow, reader: User) -> "Person":
        person = row.person
        plain = ("username", "first_name", "last_name", "email", "is_active", "kept_by", "last_login")
        return cls(
            **same_named(person, *plain),
            id=person.pk,
            role=person.role if manages_all(reader) else "",
            holds=row.roles,
            groups=[group.name for group in row.groups],
        )


class PeopleFilters(Paging):
    q: Line = Field("", description="In their names, mail address or groups.")
    state: Literal["", "on", "off"] = ""
    sort: Literal["name", "-name", "seen", "-seen"] = "name"


class NewPerson(Input):
    username: Line = Field(min_length=1, max_length=150, description="What they sign in with.")
    first_name: Line = Field("", max_length=150)
    last_name: Line = Field("", max_length=150)
    email: Line = Field("", max_length=254)
    role: Role = Field("", description="On everything; empty: their grants alone count.")


class PersonChange(Input):
    """What is left out stays."""

    role: Role = ""
    is_active: bool = Field(True, description="false: they cannot sign in; sessions and tokens end for good.")


class PasswordLink(Schema):
    url: str = Field(description="Lets its bearer choose the password, once. It is in this answer alone.")


@router.get("", response=Window[Person])
@allow(Permission.MANAGE_PEOPLE)
def list_people(request: SignedInRequest, filters: Query[PeopleFilters]) -> Window[Person]:
    """Those who were granted something where you manage people; everybody if you do so everywhere."""
    found = find_people(request.user, q=filters.q, state=filters.state, sort=filters.sort)
    rows = people_rows(list(filters.of(found.prefetch_related("socialaccount_set"))), request.user)
    return Window[Person].out_of([Person.of(row, request.user) for row in rows], found.count(), filters)


@router.get("/{int:person_id}", response=Person)
@allow(Permission.MANAGE_PEOPLE)
def get_person(request: SignedInRequest, person_id: int) -> Person:
    return _shown(request, _known(request, person_id))


@router.post("", response={201: Person})
@allow_everywhere(Permission.MANAGE_PEOPLE)
@once
def add_person(request: SignedInRequest, wish: NewPerson) -> Status[Person]:
    """An account without a password: ask for a link with which they choose one."""
    given = wish.dict()
    return Status(201, _shown(request, accounts.add(request.user, name=given.pop("username"), **given)))


@router.patch("/{int:person_id}", response=Person)
@allow_everywhere(Permission.MANAGE_PEOPLE)
def change_person(request: SignedInRequest, person_id: int, wish: PersonChange) -> Person:
    """Another role of the account, or switched off or on."""
    found = _known(request, person_id)
    with transaction.atomic():
        if "role" in wish.model_fields_set:
            accounts.set_role(request.user, found, wish.role)
        if "is_active" in wish.model_fields_set:
            (accounts.switch_on if wish.is_active else accounts.switch_off)(request.user, found)
    found.refresh_from_db()
    return _shown(request, found)


# Not `@once`: what is kept for a second answer would hold the link.
@router.post("/{int:person_id}/password-link", response=PasswordLink)
@allow_everywhere(Permission.MANAGE_PEOPLE)
def make_password_link(request: SignedInRequest, person_id: int) -> PasswordLink:
    """The password until now stops working, and their sessions and tokens end."""
    key = accounts.reset_password(request.user, _known(request, person_id))
    return PasswordLink(url=request.build_absolute_uri(reverse("new-password", args=[key.person, key.token])))


def _known(request: SignedInRequest, pk: int) -> User:
    return get_object_or_404(known_people(request.user), pk=pk)


def _shown(request: SignedInRequest, person: User) -> Person:
    [row] = people_rows([person], request.user)
    return Person.of(row, request.user)
