"""What guests lost at a moment that is recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from vmdash.metrics.query import labelled_at, labels
from vmdash.metrics.ranges import some_readings_s

MOST_BY_NAME = 100
"""So many are asked for by their UUIDs in one request: stores refuse what is too long."""
MOST_OF_ALL = 200


Told = list[tuple[str, str, float]]
"""UUID, the name of a host, and percent."""


def ask_steal(at_s: int, guests: Sequence[UUID]) -> Told:
    """What these guests lost of the time of their vCPUs, where it is recorded. One request for each `MOST_BY_NAME`.

    Raises:
        Unavailable: the history store does not answer.
    """
    parts = (guests[begin : begin + MOST_BY_NAME] for begin in range(0, len(guests), MOST_BY_NAME))
    return [one for part in parts for one in _ask(at_s, f"({_lost(labels(uuid=map(str, part)))})")]


def ask_steal_on(at_s: int, hosts: Collection[str]) -> Told:
    """What all guests on these hosts lost, or on all that there are. One request.

    Raises:
        Unavailable: the history store does not answer.
    """
    return _ask(at_s, f"({_lost(labels(host=sorted(hosts)) if hosts else '')})")


def ask_most_steal(at_s: int) -> Told:
    """Of all guests those that lost the most. One request.

    Raises:
        Unavailable: the history store does not answer.
    """
    return _ask(at_s, f"topk({MOST_OF_ALL}, {_lost()})")


def _lost(which: str = "") -> str:
    return f"100 * avg by (uuid, host) (rate(libvirt_domain_vcpu_delay_seconds_total{which}[{some_readings_s()}s]))"


def _ask(at_s: int, asked: str) -> Told:
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
