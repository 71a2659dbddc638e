"""Names of the Channels groups, and which topic of a browser leads to which group.

A browser names topics (`fleet`, `pulses`, `host:3`, `sample:3:UUID`, `guest:UUID`, `jobs`); the server decides. Behind
`sample:3:UUID` is the group of host 3; of its ticks the page gets the figures of that guest alone.
"""

from __future__ import annotations

from uuid import UUID

FLEET = "fleet"
"""State changes of hosts and guests anywhere."""

PULSES = "pulses"
"""One summary per host per tick."""

ALL_JOBS = "jobs"
"""Every job, for those who may see everybody's."""


def host(host_id: int) -> str:
    """Everything about one host and its guests: the full tick, state changes."""
    return f"host.{host_id}"


SCREENS = "guest."
"""How the groups of `guest` begin."""


def guest(uuid: UUID | str) -> str:
    """What only the page of one guest wants: screen pictures."""
    return f"{SCREENS}{uuid}"


def jobs_of(user_id: int) -> str:
    """The jobs that one person asked for."""
    return f"jobs.{user_id}"
