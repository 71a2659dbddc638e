"""Whether somebody may do something with a guest; refusals are kept."""

from __future__ import annotations

from domains.models import Domain
from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import NotPermitted


def check_permitted(user: User, permission: Permission, domain: Domain, action: str) -> None:
    """`action` is the kind of the job that was asked for. Raises NotPermitted."""
    if can(user, permission, domain):
        return
    record(
        user=user,
        action=action,
        target_kind="domain",
        target_id=domain.pk,
        target_name=domain.name,
        refused=True,
    )
    raise NotPermitted(f"You may not {permission.label}.")
