"""Writing the audit trail."""

from __future__ import annotations

from django.db import transaction

from vmdash.access import origin
from vmdash.access.models import AuditEntry, User
from vmdash.access.trail import chain

_LONGEST = 500
"""Details, as their column holds them."""


def record(
    *,
    user: User | None,
    action: str,
    target_kind: str = "",
    target_id: object = "",
    target_name: str = "",
    refused: bool = False,
    failed: bool = False,
    detail: str = "",
) -> AuditEntry:
    """Add one entry, with the address of the request at hand, and the name of the token that the person came by. It is
    chained once the transaction is committed.

    `failed`: it was allowed, and did not come about. Texts are cut to what the columns hold; NUL is left out; line
    breaks, and whatever else cannot be seen, become spaces.
    """
    came = origin.current()
    detail = _one_line(detail)[:_LONGEST]
    if user and user.token:
        by = f"with the token “{_one_line(user.token)}”"
        detail = f"{detail[: _LONGEST - len(by) - 2]}; {by}" if detail else by
    entry = AuditEntry.objects.create(
        user=user,
        user_name=user.username if user else "",
        address=came.address,
        action=action,
        target_kind=target_kind,
        target_id=str(target_id),
        target_name=_one_line(target_name)[:255],
        refused=refused,
        failed=failed,
        detail=detail,
    )
    if refused:
        came.refusal_id = entry.pk
    # What keeps it from being chained now must not undo, or seem to undo, what was done: the scheduler tries again.
    transaction.on_commit(chain.seal_some, robust=True)
    return entry


def _one_line(text: str) -> str:
    seen = (letter if letter.isprintable() else " " for letter in text.replace("\0", ""))
    return " ".join("".join(seen).split())
