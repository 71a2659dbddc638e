"""Groups as the company's OpenID provider or directory tells of them. Grants are given to groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction

from vmdash.access.audit import record
from vmdash.access.models import User

MOST = 500
LONGEST = 150


def follow_claims(user: User, claims: Mapping[str, Any]) -> None:
    """No claim about groups: they are in none."""
    follow_groups(user, groups_of(claims))


def follow_groups(user: User, told: Iterable[object]) -> None:
    """The person is in exactly these groups from now on. What can be no name of a group is left out."""
    names = _names(told)
    with transaction.atomic():
        before = set(user.groups.values_list("name", flat=True))
        if names == before:
            return
        Group.objects.bulk_create([Group(name=name) for name in sorted(names)], ignore_conflicts=True)
        user.groups.set(Group.objects.filter(name__in=names))
        record(
            user=None,
            action="person.groups",
            target_kind="user",
            target_id=user.pk,
            target_name=user.username,
            detail=_change(names - before, before - names),
        )


def groups_of(claims: Mapping[str, Any]) -> list[object]:
    """The names in what the provider said: of the person's own page first, then of the ID token."""
    for part in (claims.get("userinfo"), claims.get("id_token"), claims):
        found = part.get(settings.OIDC_GROUPS_CLAIM) if isinstance(part, Mapping) else None
        if found is not None:
            return [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return []


def _names(told: Iterable[object]) -> set[str]:
    names = [item.strip() for item in told if isinstance(item, str) and "\0" not in item]
    return {name for name in names[:MOST] if name and len(name) <= LONGEST}


def _change(added: set[str], left: set[str]) -> str:
    parts = [("joined ", sorted(added)), ("left ", sorted(left))]
    return "; ".join(word + ", ".join(names) for word, names in parts if names)
