"""What guests lost at a moment that is recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from vmdash.metrics.query import labelled_at, labels
from vmdash.metrics.ranges import some_readings_s

MOST_BY_NAME = 100
"""So many are asked for by their UUIDs; more are all read."""
MOST_OF_ALL = 200


Told = list[tuple[str, str, float]]
"""UUID, the name of a host, and percent."""


def ask_steal(at_s: int, only: Collection[UUID] = ()) -> Told:
    """What guests lost of the time of their vCPUs, where it is recorded: these, or those that lost the most of all. One
    request, and none to the database.

    Raises:
        Unavailable: the history store does not answer.
    """
    which = labels(uuid=[str(uuid) for uuid in only]) if 0 < len(only) <= MOST_BY_NAME else ""
    each = f"100 * avg by (uuid, host) (rate(libvirt_domain_vcpu_delay_seconds_total{which}[{some_readings_s()}s]))"
    asked = f"({each})" if only else f"topk({MOST_OF_ALL}, {each})"
    return [
        (told.get("uuid", ""), told.get("host", ""), value) for _, told, value in labelled_at({"steal": asked}, at_s)
    ]


def steal_of(guests: Mapping[UUID, str], told: Told) -> dict[UUID, float]:
    """Of these guests (by UUID, with the name of their host then) alone."""
    names = {str(uuid): uuid for uuid in guests}
    found: dict[UUID, float] = {}
    for text, host, value in told:
        uuid = names.get(text)
        # One that moved a moment before has figures of both hosts.
        if uuid and (host == guests[uuid] or uuid not in found):
            found[uuid] = value
    return found
