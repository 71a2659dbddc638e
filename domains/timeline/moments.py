"""Which moments can be looked back at. Moments are Unix seconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.conf import settings

from domains.timeline.then import first_event_at as first_of_guests
from hosts.then import first_event_at as first_of_hosts
from vmdash.exceptions import InvalidInput, NotFound

CLOCKS_DIFFER_S = 120
"""Whoever asks may be ahead of us by so much."""


def not_to_come(at: int, now: int) -> int:
    """The moment, or now for one that is a little ahead.

    Raises:
        InvalidInput: it is still to come.
    """
    if at > now + CLOCKS_DIFFER_S:
        raise InvalidInput("That moment is still to come.", hint="Choose one that is past.")
    return min(at, now)


def kept_since(now: int) -> int | None:
    """None: nothing has been recorded yet. What is older is removed, but for what tells how things were at the
    beginning. Two queries."""
    firsts = [first for first in (first_of_guests(), first_of_hosts()) if first]
    if not firsts:
        return None
    oldest = now - int(timedelta(days=settings.EVENT_RETENTION_DAYS).total_seconds())
    return max(oldest, int(min(firsts).timestamp()))


def kept_moment(at: int) -> tuple[datetime, datetime]:
    """The moment, and since when moments are kept.

    Raises:
        InvalidInput: it is still to come.
        NotFound: nothing is kept of that time.
    """
    now = int(time.time())
    moment, since = not_to_come(at, now), kept_since(now)
    if since is None:
        raise NotFound("Nothing has been recorded yet.", hint="Ask again when a host has been collected from.")
    first = datetime.fromtimestamp(since, UTC)
    if moment < since:
        hint = f"The first moment that is kept is {since}, which is {first:%Y-%m-%d %H:%M:%S} UTC."
        raise NotFound("Nothing is kept of that time.", hint=hint)
    return datetime.fromtimestamp(moment, UTC), first
