"""What people write about a guest: whose it is, and what to know before it is stopped."""

from __future__ import annotations

from domains.models import Domain
from vmdash.access.audit import record
from vmdash.access.models import User


def set_note(*, domain: Domain, owner: str, note: str, user: User) -> None:
    """The caller has checked the permission and the texts."""
    Domain.objects.filter(pk=domain.pk).update(owner=owner, note=note)
    record(
        user=user,
        action="domain.note",
        target_kind="domain",
        target_id=domain.pk,
        target_name=domain.name,
        detail=f"{owner}: {note}" if owner else note or "none",
    )
