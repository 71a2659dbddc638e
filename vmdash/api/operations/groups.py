"""Groups of people. What they are granted is under `/grants`."""

from django.contrib.auth.models import Group as Row
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from vmdash.access import accounts
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.models import User
from vmdash.access.people import known_groups, known_people
from vmdash.access.roles import Permission
from vmdash.api.once import once
from vmdash.api.shapes import Input, Line, Paging, Window
from vmdash.exceptions import InvalidInput, NotFound

router = Router(tags=["people"])


class Group(Schema):
    id: int
    name: str
    members: list[str] = Field(description="Those of them that you know.")

    @classmethod
    def of(cls, row: Row, reader: User) -> "Group":
        members = known_people(reader).filter(groups=row).order_by("username")
        return cls(id=row.pk, name=row.name, members=list(members.values_list("username", flat=True)))


class NewGroup(Input):
    name: Line = Field(min_length=1, max_length=150)


class Member(Input):
    person: Line = Field(min_length=1, max_length=150, description="The user name.")


@router.get("", response=Window[Group])
@allow(Permission.MANAGE_PEOPLE)
def list_groups(request: SignedInRequest, paging: Query[Paging]) -> Window[Group]:
    """Those that were granted something where you manage people; all of them if you do so everywhere."""
    found = known_groups(request.user)
    return Window[Group].out_of([Group.of(row, request.user) for row in paging.of(found)], found.count(), paging)


@router.post("", response={201: Group})
@allow_everywhere(Permission.MANAGE_PEOPLE)
@once
def add_group(request: SignedInRequest, wish: NewGroup) -> Status[Group]:
    return Status(201, Group.of(accounts.add_group(request.user, wish.name), request.user))


@router.delete("/{int:group_id}", response={204: None})
@allow_everywhere(Permission.MANAGE_PEOPLE)
def remove_group(request: SignedInRequest, group_id: int, confirm: Line) -> Status[None]:
    """With its grants. `confirm` is its name."""
    found = _known(request, group_id)
    if confirm != found.name:
        raise InvalidInput(f"To remove {found.name}, send its name as confirm.")
    accounts.remove_group(request.user, found)
    return Status(204, None)


@router.post("/{int:group_id}/members", response=Group)
@allow_everywhere(Permission.MANAGE_PEOPLE)
def join_group(request: SignedInRequest, group_id: int, wish: Member) -> Group:
    found, person = _known(request, group_id), User.objects.filter(username=wish.person).first()
    if person is None:
        raise NotFound(f"There is no person {wish.person}.")
    accounts.join(request.user, found, person)
    return Group.of(found, request.user)


@router.delete("/{int:group_id}/members/{int:person_id}", response={204: None})
@allow_everywhere(Permission.MANAGE_PEOPLE)
def leave_group(request: SignedInRequest, group_id: int, person_id: int) -> Status[None]:
    accounts.leave(request.user, _known(request, group_id), get_object_or_404(User, pk=person_id))
    return Status(204, None)


def _known(request: SignedInRequest, pk: int) -> Row:
    return get_object_or_404(known_groups(request.user), pk=pk)
