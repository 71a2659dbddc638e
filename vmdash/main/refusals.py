"""Who could not show who they are, in the audit trail: also strangers, so not without end."""

from __future__ import annotations

import logging

from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.live.hourly import times_in_this_hour

log = logging.getLogger(__name__)

MOST_AN_HOUR = 600
"""Some hundred people who mistype, and a clear sign of somebody who guesses."""


def note_refusal(*, name: str, why: str, user: User | None = None) -> None:
    """Write it down, or that there were too many to do so in this hour.

    `user`: who is signed in already, and was asked to show once more that it is them.
    """
    number = times_in_this_hour("refusals")
    if number > MOST_AN_HOUR:
        return
    more = " (the last one noted in this hour)" if number == MOST_AN_HOUR else ""
    record(
        user=user,
        action="confirm.refused" if user else "sign_in.refused",
        target_kind="person",
        target_name=name,
        refused=True,
        detail=f"{why}{more}",
    )
    if more:
        log.warning("%d sign-ins were refused within an hour; no more of them are noted", number)
