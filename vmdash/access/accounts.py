"""People and groups: made, changed and switched off by those who manage people everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from vmdash.access import bearers
from vmdash.access.audit import record
from vmdash.access.granting import keeping_an_administrator
from vmdash.access.models import User
from vmdash.access.roles import Permission, Role, can_everywhere
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted


@dataclass(frozen=True, slots=True)
class PasswordKey:
    """Lets its bearer choose a person's password, once (`PASSWORD_RESET_TIMEOUT`)."""

    person: str
    token: str


def add(actor: User, *, name: str, role: str = "", first_name: str = "", last_name: str = "", email: str = "") -> User:
    """Somebody without a password. Raises NotPermitted, InvalidInput (the name is taken, or is none)."""
    person = User(username=name, role=role, first_name=first_name, last_name=last_name, email=email)
    _check(actor, "person.add", person)
    person.set_unusable_password()
    try:
        person.full_clean()
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from error
    with transaction.atomic():
        person.save()
        _note(actor, "person.add", person, _role_words(role))
    return person


def set_role(actor: User, person: User, role: str) -> None:
    """What they may do everywhere, without an end. Raises NotPermitted, Conflict (nobody is left to administer)."""
    _check(actor, "person.change", person)
    with keeping_an_administrator():
        changed = User.objects.filter(pk=person.pk).exclude(role=role).update(role=role)
        if changed:
            _note(actor, "person.change", person, _role_words(role))


def switch_off(actor: User, person: User) -> None:
    """They cannot sign in, and their sessions and tokens end for good. Raises NotPermitted, Conflict."""
    _check(actor, "person.switch_off", person)
    if person.pk == actor.pk:
        raise Conflict("You cannot switch yourself off.", hint="Ask somebody else who manages people.")
    with keeping_an_administrator():
        if User.objects.filter(pk=person.pk, is_active=True).update(is_active=False):
            _note(actor, "person.switch_off", person)
            for session in UserSession.objects.filter(user=person):
                session.end()
            bearers.end_all_of(person, actor)


def switch_on(actor: User, person: User) -> None:
    """They may sign in anew, and what they were granted counts again. Raises NotPermitted."""
    _check(actor, "person.switch_on", person)
    with transaction.atomic():
        if User.objects.filter(pk=person.pk, is_active=False).update(is_active=True):
            _note(actor, "person.switch_on", person)


def reset_password(actor: User, person: User) -> PasswordKey:
    """The password until now stops working; sessions that began with it and tokens end. What is returned is shown once,
    and works only while the person is not switched off.

    Raises:
        NotPermitted: the actor does not manage people everywhere.
        Conflict: it is their own, or it is kept elsewhere.
    """
    _check(actor, "person.reset_password", person)
    if person.kept_by:
        raise Conflict(f"The password of {person.username} is kept by {person.kept_by}.", hint="Change it there.")
    if person.pk == actor.pk:
        raise Conflict("You would sign yourself out.", hint="Ask somebody else who manages people.")
    with transaction.atomic():
        person.set_unusable_password()
        person.save(update_fields=["password"])
        _note(actor, "person.reset_password", person, "by a link that works once")
        bearers.end_all_of(person, actor)
    return PasswordKey(urlsafe_base64_encode(force_bytes(person.pk)), default_token_generator.make_token(person))


def add_group(actor: User, name: str) -> Group:
    """Raises NotPermitted, InvalidInput (the name is taken, or is none)."""
    group = Group(name=name)
    _check(actor, "group.add", group)
    try:
        group.full_clean()
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from error
    with transaction.atomic():
        group.save()
        _note(actor, "group.add", group)
    return group


def remove_group(actor: User, group: Group) -> None:
    """With its grants. Raises NotPermitted, Conflict (nobody would be left who administers)."""
    _check(actor, "group.remove", group)
    with keeping_an_administrator():
        grants = ", ".join(str(grant) for grant in group.grants.all())
        _note(actor, "group.remove", group, f"with its grants: {grants}" if grants else "")
        group.delete()


def join(actor: User, group: Group, person: User) -> None:
    """Raises NotPermitted, Conflict (is there already, or their groups come from elsewhere)."""
    _check_groups(actor, person)
    with transaction.atomic():
        if person.groups.filter(pk=group.pk).exists():
            raise Conflict(f"{person.username} is in {group.name} already.")
        person.groups.add(group)
        _note(actor, "person.groups", person, f"joined {group.name}")


def leave(actor: User, group: Group, person: User) -> None:
    """Raises NotPermitted, Conflict (is not there, their groups come from elsewhere, or nobody would be left who
    administers)."""
    _check_groups(actor, person)
    with keeping_an_administrator():
        if not person.groups.filter(pk=group.pk).exists():
            raise Conflict(f"{person.username} is not in {group.name}.")
        person.groups.remove(group)
        _note(actor, "person.groups", person, f"left {group.name}")


def _check(actor: User, action: str, whom: User | Group) -> None:
    if not can_everywhere(actor, Permission.MANAGE_PEOPLE):
        _note(actor, action, whom, refused=True)
        raise NotPermitted("Only those who manage people everywhere may do this.")


def _check_groups(actor: User, person: User) -> None:
    _check(actor, "person.groups", person)
    if keeper := person.groups_kept_by:
        raise Conflict(
            f"The groups of {person.username} come from {keeper}, at every sign-in.", hint="Change them there."
        )


def _role_words(role: str) -> str:
    return f"{Role(role).label} on everything" if role else "no role of their own"


def _note(actor: User, action: str, whom: User | Group, detail: str = "", *, refused: bool = False) -> None:
    record(
        user=actor,
        action=action,
        target_kind="group" if isinstance(whom, Group) else "user",
        target_id=whom.pk or "",
        target_name=whom.name if isinstance(whom, Group) else whom.username,
        refused=refused,
        detail=detail,
    )
