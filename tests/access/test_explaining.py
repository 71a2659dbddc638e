"""Why somebody may do what they may; and the table of roles in the documentation."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from hosts.models import Tag
from tests.access.world import World
from tests.factories import UserFactory
from vmdash.access.explain import explain
from vmdash.access.models import Grant, User
from vmdash.access.reach import Placed, Scope
from vmdash.access.roles import ROLE_PERMISSIONS, Permission, Role, can, can_everywhere

DOCUMENTATION = Path(__file__).parents[2] / "docs/people.md"


@pytest.mark.django_db
def test_it_says_what_is_decided_for_everybody_and_every_thing() -> None:
    world = World()
    tag = Tag.objects.create(name="prod")
    world.guest.tags.add(tag)
    person = UserFactory.create(role="")
    group = Group.objects.create(name="desk")
    person.groups.add(group)
    things: list[Placed | None] = [
        None, world.here, world.host, world.guest, world.pool, tag, world.other_guest, world.other_pool,
    ]  # fmt: skip
    grants = [
        {"role": Role.VIEWER, "scope": Scope.SITE, "scope_id": str(world.here.pk), "group": group},
        {"role": Role.OPERATOR, "scope": Scope.TAG, "scope_id": str(tag.pk), "person": person},
        {"role": Role.HELP_DESK, "scope": Scope.GUEST, "scope_id": str(world.other_guest.pk), "person": person},
        {"role": Role.VIEWER, "scope": Scope.EVERYTHING, "group": group},
        {"role": Role.ADMINISTRATOR, "scope": Scope.HOST, "scope_id": str(world.host.pk), "person": person},
    ]
    for grant in (None, *grants):
        if grant:
            Grant.objects.create(**grant)
        someone = User.objects.get(pk=person.pk)
        for thing in things:
            for verdict in explain(someone, thing):
                may = (
                    can_everywhere(someone, verdict.permission)
                    if thing is None
                    else can(someone, verdict.permission, thing)
                )
                assert verdict.allowed == may, (verdict, thing)


@pytest.mark.django_db
def test_a_reason_says_the_role_the_place_the_group_and_the_end() -> None:
    world = World()
    person = UserFactory.create(role=Role.VIEWER)
    group, until = Group.objects.create(name="desk"), timezone.now() + timedelta(days=1)
    person.groups.add(group)
    Grant.objects.create(
        group=group, role=Role.HELP_DESK, scope=Scope.HOST, scope_id=str(world.host.pk), scope_name="kvm1", until=until
    )
    by_permission = {verdict.permission: verdict for verdict in explain(person, world.guest)}
    [reason] = by_permission[Permission.POWER].reasons
    assert (reason.role, reason.on, reason.group, reason.until) == (Role.HELP_DESK, "host kvm1", "desk", until)
    of_the_account, _ = by_permission[Permission.VIEW].reasons
    assert (of_the_account.on, of_the_account.of_the_account) == ("everything", True)
    assert not by_permission[Permission.FORCE].allowed
    assert by_permission[Permission.FORCE].needs == Role.OPERATOR


@pytest.mark.django_db
def test_who_is_switched_off_may_nothing() -> None:
    person = UserFactory.create(role=Role.ADMINISTRATOR, is_active=False)
    assert not any(verdict.allowed for verdict in explain(person, None))


def test_the_documentation_has_the_table_of_the_code() -> None:
    """Mend docs/people.md by what this prints."""
    heading = ["May", *(role.label for role in Role)]
    rows = [[one.label, *("yes" if one in ROLE_PERMISSIONS[role] else "–" for role in Role)] for one in Permission]
    lines = [f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *rows)]
    assert "\n".join(lines) in DOCUMENTATION.read_text()
