"""Writing the audit trail."""

from __future__ import annotations

from vmdash.access.models import AuditEntry, User


def record(
    *,
    user: User | None,
    action: str,
    target_kind: str = "",
    target_id: object = "",
    target_name: str = "",
    refused: bool = False,
    detail: str = "",
) -> AuditEntry:
    """Add one entry. Texts are cut to what the columns hold; line breaks become spaces, NUL is left out."""
    return AuditEntry.objects.create(
        user=user,
        user_name=user.username if user else "",
        action=action,
        target_kind=target_kind,
        target_id=str(target_id),
        target_name=_one_line(target_name)[:255],
        refused=refused,
        detail=_one_line(detail)[:500],
    )


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", "").split())
