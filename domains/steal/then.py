"""What guests lost at a moment that is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from hosts.then import over_s
from vmdash.metrics.query import labelled_at, labels

MOST_BY_NAME = 100
"""So many are asked for by their UUIDs; more are all read."""
MOST_OF_ALL = 200


def steal_then(guests: Mapping[UUID, str], at_s: int, *, only_worst: bool = False) -> dict[UUID, float]:
    """Percent of the vCPUs' time that each of these guests (by UUID, with the name of its host then) lost, where it is
    recorded. With `only_worst` no more than those that lost the most. One request.

    Raises:
        Unavailable: the history store does not answer.
    """
    if not guests:
        return {}
    only = labels(uuid=[str(uuid) for uuid in guests]) if len(guests) <= MOST_BY_NAME else ""
    each = f"100 * avg by (uuid, host) (rate(libvirt_domain_vcpu_delay_seconds_total{only}[{over_s()}s]))"
    asked = f"topk({MOST_OF_ALL}, {each})" if only_worst else f"({each})"
    names = {str(uuid): uuid for uuid in guests}
    found: dict[UUID, float] = {}
    for _, told, value in labelled_at({"steal": asked}, at_s):
        uuid = names.get(told.get("uuid", ""))
        # One that moved a moment before has figures of both hosts.
        if uuid and (told.get("host") == guests[uuid] or uuid not in found):
            found[uuid] = value
    return found
