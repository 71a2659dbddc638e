"""Reading the audit trail for pages and exports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import orjson
from django.db.models import Q, QuerySet

from vmdash.access.models import AuditEntry
from vmdash.access.trail.chain import content_of

_AT_ONCE = 1000


def entries(
    *,
    who: str = "",
    action: str = "",
    what: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    result: str = "",
) -> QuerySet[AuditEntry]:
    """Newest first.

    `who`: a part of a user name or the beginning of an address. `action`: the beginning of its name. `what`: a part of
    the name of what it was about, or of the detail, or a whole id. `result` as in `AuditEntry.result`. Both moments
    belong to the time. Empty ones do not restrict.
    """
    found = AuditEntry.objects.all()
    if who:
        found = found.filter(Q(user_name__icontains=who) | Q(address__istartswith=who))
    if action:
        found = found.filter(action__istartswith=action)
    if what:
        found = found.filter(Q(target_name__icontains=what) | Q(detail__icontains=what) | Q(target_id=what))
    if since:
        found = found.filter(at__gte=since)
    if until:
        found = found.filter(at__lte=until)
    if result == "done":
        found = found.filter(refused=False, failed=False)
    elif result:
        found = found.filter(**{result: True})
    return found


def json_line(entry: AuditEntry) -> bytes:
    """Everything that the hash is over, and the hash."""
    return orjson.dumps(content_of(entry) | {"hash": entry.hash}, option=orjson.OPT_APPEND_NEWLINE)


def json_lines(found: QuerySet[AuditEntry]) -> Iterator[bytes]:
    """The same entries, oldest first, in blocks of lines: however many there are, few are in memory at once."""
    after = 0
    while block := list(found.filter(pk__gt=after).order_by("pk")[:_AT_ONCE]):
        after = block[-1].pk
        yield b"".join(json_line(entry) for entry in block)
