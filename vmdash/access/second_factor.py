"""Who needs a second factor to sign in, and has none."""

from __future__ import annotations

from collections.abc import Collection

from allauth.mfa.models import Authenticator
from django.conf import settings

from vmdash.access.models import User
from vmdash.access.roles import Role, can
from vmdash.access.table import granted_from

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""Recovery codes only stand in for one of these."""


def needs_one(user: User) -> bool:
    """Whether a role of theirs, anywhere, asks for it (`VMDASH_SECOND_FACTOR_FROM`)."""
    if settings.SECOND_FACTOR_FROM == "nobody":
        return False
    return can(user, granted_from(Role(settings.SECOND_FACTOR_FROM)))


def lacking(users: Collection[User]) -> set[int]:
    """The ids of those who need one and have none. No query when nobody does."""
    needing = {user.pk for user in users if needs_one(user)}
    if not needing:
        return set()
    return needing - set(
        Authenticator.objects.filter(user__in=needing, type__in=FACTORS).values_list("user_id", flat=True)
    )
