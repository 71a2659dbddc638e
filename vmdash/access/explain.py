"""Why somebody may do what they may: the grant, the group that it came through, its place, and its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from vmdash.access.models import Grant, User
from vmdash.access.reach import Placed, Reach, Scope
from vmdash.access.table import ROLE_PERMISSIONS, Permission, Role


@dataclass(frozen=True, slots=True)
class Reason:
    """A role that reaches the thing."""

    role: Role
    on: str
    """"everything", "host kvm1"."""
    group: str
    """Through which it came; empty for what they were given themselves."""
    until: datetime | None
    of_the_account: bool = False
    """It is the role of the person, and no grant."""


@dataclass(frozen=True, slots=True)
class Verdict:
    permission: Permission
    reasons: list[Reason]
    """Each is enough; without one they may not."""
    needs: Role
    """The least role that has it."""

    @property
    def allowed(self) -> bool:
        return bool(self.reasons)


def explain(person: User, thing: Placed | None) -> list[Verdict]:
    """For each permission whether they may do it to `thing`, or without one to everything, as `can` and
    `can_everywhere` decide. Somebody who was deactivated may nothing."""
    reasons = list(_reasons(person, thing)) if person.is_active else []
    return [
        Verdict(
            permission,
            [reason for reason in reasons if permission in ROLE_PERMISSIONS[reason.role]],
            next(role for role in Role if permission in ROLE_PERMISSIONS[role]),
        )
        for permission in Permission
    ]


def _reasons(person: User, thing: Placed | None) -> Iterable[Reason]:
    """The role and the grants that reach it."""
    if person.role:
        yield Reason(Role(person.role), Scope.EVERYTHING.label, "", None, of_the_account=True)
    places = [] if thing is None else list(thing.places())
    for grant in Grant.objects.of(person).select_related("group"):
        role = Role(grant.role)
        alone = Reach([(role, Scope(grant.scope), grant.scope_id)])
        if any(alone.covers(permission, places) for permission in ROLE_PERMISSIONS[role]):
            yield Reason(role, grant.on, grant.group.name if grant.group else "", grant.until)
