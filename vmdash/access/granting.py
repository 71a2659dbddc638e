"""Giving grants and ending them.

Nobody gives away, or takes away, more than they hold: whoever manages people in some places does so for grants on what
is in these places, and for no role that has a permission which they lack there. And whatever is changed, somebody is
left who manages people everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from vmdash.access import subjects
from vmdash.access.audit import record
from vmdash.access.models import Grant, User
from vmdash.access.reach import Placed, Scope
from vmdash.access.roles import ROLE_PERMISSIONS, Permission, Role, can, can_everywhere
from vmdash.access.subjects import Subject
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted

MANAGING_ROLES = [role for role in Role if Permission.MANAGE_PEOPLE in ROLE_PERMISSIONS[role]]


def may_give(actor: User, role: Role, thing: Placed | None) -> bool:
    """Whether they may give this role on `thing`, or without one on everything; and take it away."""
    needed = ROLE_PERMISSIONS[role] | {Permission.MANAGE_PEOPLE}
    if thing is None:
        return all(can_everywhere(actor, permission) for permission in needed)
    return all(can(actor, permission, thing) for permission in needed)


def may_end(actor: User, grant: Grant) -> bool:
    role = Role(grant.role)
    if may_give(actor, role, None):
        return True  # also on what is gone
    if grant.scope == Scope.EVERYTHING:
        return False
    thing = _find(actor, Scope(grant.scope), grant.scope_id)
    return thing is not None and may_give(actor, role, thing)


def give(
    actor: User, *, to: User | Group, role: Role, scope: Scope, scope_id: object = "", until: datetime | None = None
) -> Grant:
    """Give a role to a person or group. Who has it already gets the new end, or that there is none.

    `scope_id` names the site, host, tag or guest; for everything it does not count.

    Raises:
        NotFound: there is no such thing, or the actor does not see it.
        NotPermitted: the actor holds less than that there.
        InvalidInput: it would have ended already.
        Conflict: they have just this already, or nobody would be left who manages people.
    """
    thing = None
    if scope != Scope.EVERYTHING:
        thing = _find(actor, scope, scope_id)
        if thing is None:
            raise NotFound(f"There is no such {scope.label}.")
    place = {"scope": scope, "scope_id": "" if thing is None else str(thing.pk)}
    grant = Grant(role=role, **place, scope_name="" if thing is None else str(thing)[:255], until=until, made_by=actor)
    grant.person, grant.group = (None, to) if isinstance(to, Group) else (to, None)
    if not may_give(actor, role, thing):
        _note(actor, "grant.give", grant, refused=True)
        raise NotPermitted(f"You may not give the role {role.label.lower()} on {grant.on}.")
    if until is not None and until <= timezone.now():
        raise InvalidInput("The end lies in the past.")
    with keeping_an_administrator():
        before = Grant.objects.select_for_update().filter(role=role, **place, person=grant.person, group=grant.group)
        if old := before.first():
            if old.is_current and old.until == until:
                raise Conflict(f"{grant.holder_name} has this already.")
            old.delete()
        grant.save()
        _note(actor, "grant.change" if old and old.is_current else "grant.give", grant)
    return grant


def end(actor: User, grant: Grant) -> None:
    """It counts no more from now on, in pages that are open too.

    Raises:
        NotPermitted: the actor holds less than that there.
        Conflict: it was ended meanwhile, or nobody would be left who manages people.
    """
    if not may_end(actor, grant):
        _note(actor, "grant.end", grant, refused=True)
        raise NotPermitted(f"You may not take away the role {grant.get_role_display().lower()} on {grant.on}.")
    with keeping_an_administrator():
        ended, _ = Grant.objects.filter(pk=grant.pk).delete()
        if not ended:
            raise Conflict("This grant has ended already.")
        _note(actor, "grant.end", grant)


@contextmanager
def keeping_an_administrator() -> Iterator[None]:
    """Around a change of rights. It is undone when it takes the last person away who manages people everywhere, or the
    last for whom no end is set.

    Raises:
        Conflict: it was undone.
    """
    with transaction.atomic():
        # Two at once take turns, and the second finds what the first has left.
        list(administrators().select_for_update().order_by("pk").values_list("pk", flat=True))
        before = _administered()
        yield
        if _administered() < before:
            raise Conflict(
                "Nobody would be left who administers everything without an end.",
                hint="Make somebody else an administrator of everything first, who has signed in or has a password.",
            )


def administrators(*, lasting: bool = False) -> QuerySet[User]:
    """Who manages people everywhere and can come in; `lasting`: with no end set.

    Whose account is kept elsewhere does not count by their groups: over there they are taken out without asking here.
    """
    grants = Grant.objects.filter(scope=Scope.EVERYTHING, role__in=MANAGING_ROLES)
    grants = grants.filter(until=None) if lasting else grants.current()
    members = User.groups.through.objects.filter(group__in=grants.values("group"), user__socialaccount=None)
    holds = Q(role__in=MANAGING_ROLES) | Q(pk__in=grants.values("person")) | Q(pk__in=members.values("user"))
    comes_in = ~Q(password__startswith=UNUSABLE_PASSWORD_PREFIX) | Q(last_login__isnull=False)
    return User.objects.filter(holds, comes_in, is_active=True)


def _administered() -> int:
    """For ever, for a while, or not at all."""
    return 2 if administrators(lasting=True).exists() else int(administrators().exists())


def _find(actor: User, scope: Scope, scope_id: object) -> Any:
    """What a grant is about, if the actor sees it."""
    seen = subjects.reached(Subject(scope), actor, Permission.VIEW)
    try:
        return seen.filter(pk=scope_id).first()
    except (ValueError, ValidationError):  # no number, or no UUID
        return None


def _note(actor: User, action: str, grant: Grant, *, refused: bool = False) -> None:
    record(
        user=actor,
        action=action,
        target_kind="group" if grant.group else "user",
        target_id=grant.group_id or grant.person_id or "",
        target_name=grant.holder_name,
        refused=refused,
        detail=f"{grant.get_role_display()} on {grant.on}{grant.until_words}",
    )
