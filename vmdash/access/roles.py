"""The one function that decides. Every view, consumer, ticket and API call asks `can()`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmdash.access.reach import Placed, reach_of
from vmdash.access.table import ROLE_PERMISSIONS, Permission, Role

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

__all__ = ["ROLE_PERMISSIONS", "Permission", "Role", "can", "can_everywhere"]


def can(user: User | AnonymousUser, permission: Permission, obj: Placed | None = None) -> bool:
    """Whether `user` may do `permission` to `obj`; without one, whether there is anything to which they may.

    Somebody without a grant, signed out or deactivated may do nothing.
    """
    reach = reach_of(user)
    if obj is None or permission in reach.everywhere or not reach.anywhere(permission):
        return reach.anywhere(permission)  # where something is takes queries
    return reach.covers(permission, obj.places())


def can_everywhere(user: User | AnonymousUser, permission: Permission) -> bool:
    """Whether they may do it to everything: for what belongs to no site, host or guest."""
    return permission in reach_of(user).everywhere
