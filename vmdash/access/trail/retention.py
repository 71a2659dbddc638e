"""Removing what is too old from the audit trail, from its beginning, so that the rest can still be verified."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from vmdash.access.audit import record
from vmdash.access.models import AuditEntry
from vmdash.access.trail import chain


def prune(before: datetime) -> int:
    """Remove the oldest entries, up to the first that is not older than `before`. Returns how many.

    The number and hash of the last one removed stay, as what the chain begins on. That it was done is an entry, too.
    """
    removed = 0
    while some := _prune_some(before):
        removed += some
    if removed:
        record(
            user=None,
            action="audit.prune",
            target_kind="audit",
            detail=f"{removed} entries before {before:%Y-%m-%d %H:%M %Z} removed because of their age",
        )
    return removed


def _prune_some(before: datetime) -> int:
    with transaction.atomic():
        head = chain.locked_head()
        oldest = AuditEntry.objects.filter(number__gt=head.anchor_number).order_by("number")[: chain.AT_ONCE]
        old: list[AuditEntry] = []
        for entry in oldest:
            if entry.at >= before or entry.number != head.anchor_number + len(old) + 1:
                break  # what is missing shall be found, and not be passed over
            old.append(entry)
        if not old:
            return 0
        head.anchor_number += len(old)
        head.anchor_hash = old[-1].hash
        head.save(update_fields=["anchor_number", "anchor_hash"])
        AuditEntry.objects.filter(number__lte=head.anchor_number).delete()
    return len(old)
