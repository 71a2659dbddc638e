"""Messages of pages that were refused, in the audit trail: a script can send thousands, so not without end."""

from __future__ import annotations

from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.live.hourly import times_in_this_hour

MOST_AN_HOUR = 20
"""Entries of one person, over all their pages."""


def note(person: User, asked: str, why: str) -> None:
    """Write down that what they asked for was refused, or that there were too many to do so in this hour."""
    number = times_in_this_hour(f"live-refusals:{person.pk}")
    if number <= MOST_AN_HOUR:
        more = " (the last one noted in this hour)" if number == MOST_AN_HOUR else ""
        record(
            user=person,
            action="live.refused",
            target_kind="message",
            target_name=asked[:200],
            refused=True,
            detail=f"{why}{more}",
        )
