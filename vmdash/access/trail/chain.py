"""The chain of the audit trail: each entry's hash is over its content and over the hash of the one before it.

What is recorded is committed together with what it tells of, and chained right afterwards, in a transaction of its
own: so nobody's long transaction holds up everybody's. Writers take turns at the row `AuditHead`, which also says how
many entries there are and in which hash they end. The chain never forks, and a cut-off end is noticed.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from typing import Any

from django.db import transaction

from vmdash.access.models import AuditEntry, AuditHead
from vmdash.exceptions import VmdashError

AT_ONCE = 500
"""Entries a transaction: nobody waits long for their turn."""


class HeadMissing(VmdashError):
    """There are chained entries, and the row that tells where they end is gone."""

    def __init__(self) -> None:
        super().__init__(
            "The end of the audit trail is not known: its row in the database is missing.",
            hint="Entries are kept, but not chained any more. Restore the database, or find out who removed the row.",
        )


def content_of(entry: AuditEntry) -> dict[str, Any]:
    """What the hash is over, and what is exported, beside the hash itself. The person's name and not their row: that
    may be gone one day."""
    return {
        "number": entry.number,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "user": entry.user_name,
        "address": entry.address,
        "action": entry.action,
        "target_kind": entry.target_kind,
        "target_id": entry.target_id,
        "target_name": entry.target_name,
        "result": entry.result,
        "detail": entry.detail,
        "previous": entry.previous_hash,
    }


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 over the content as JSON with sorted keys, ASCII alone and no spaces; in hexadecimal."""
    text = json.dumps(content_of(entry), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seal() -> int:
    """Chain all that was recorded and is not chained yet. Returns how many. Raises HeadMissing."""
    sealed = 0
    while some := seal_some():
        sealed += some
    return sealed


def seal_some() -> int:
    """The same for the oldest `AT_ONCE` of them."""
    waiting = AuditEntry.objects.filter(number=None).order_by("pk")
    if not waiting.exists():
        return 0
    with transaction.atomic():
        head = locked_head()
        entries = list(waiting[:AT_ONCE])
        for entry in entries:
            head.count += 1
            entry.number, entry.previous_hash = head.count, head.hash
            entry.hash = head.hash = hash_of(entry)
        AuditEntry.objects.bulk_update(entries, ["number", "previous_hash", "hash"])
        head.save(update_fields=["count", "hash"])
    return len(entries)


def locked_head() -> AuditHead:
    """Whoever has it may write to the chain until their transaction ends. Raises HeadMissing."""
    heads = AuditHead.objects.select_for_update()
    head = heads.filter(pk=AuditHead.ONLY).first()
    if head is None:
        if AuditEntry.objects.exclude(number=None).exists():
            raise HeadMissing
        AuditHead.objects.get_or_create(pk=AuditHead.ONLY)
        head = heads.get(pk=AuditHead.ONLY)
    return head
