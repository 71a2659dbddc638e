"""The same guest active on two hosts at once: where, since when, and what must not be done to it until that is over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from domains.models import ACTIVE_STATES, Domain, Sighting
from hosts.models import Host

_Sides = dict[UUID, list[Sighting]]


def sides_of(guests: Iterable[Domain]) -> _Sides:
    """Where each of the guests is active, the longest there first; with the hosts. One query; only guests that are
    active twice are in it."""
    twice = [guest.pk for guest in guests if guest.split_brain]
    if not twice:
        return {}
    found: _Sides = defaultdict(list)
    sightings = Sighting.objects.filter(
        domain__in=twice, state__in=ACTIVE_STATES, host__enabled=True, host__state=Host.State.UP
    )
    for sighting in sightings.select_related("host").order_by("seen_at", "host__name"):
        found[sighting.domain_id].append(sighting)
    return found


def sides(guest: Domain) -> list[Sighting]:
    """Where it is active, the longest there first; empty unless it is active twice."""
    return sides_of([guest]).get(guest.pk, [])


def host_names(found: Iterable[Sighting]) -> str:
    """ "kvm1 and kvm2"."""
    *others, last = [sighting.host.name for sighting in found] or ["two hosts"]
    return f"{', '.join(others)} and {last}" if others else last


def split_brain_obstacle(guest: Domain) -> str:
    """Why a guest that is active on two hosts may not be started, resumed, moved, copied or snapshotted, in sentences;
    empty when it is not. Asks no host; without a query unless it is."""
    if not guest.split_brain:
        return ""
    return (
        f"It is active on two hosts at once ({host_names(sides(guest))}), which destroys its disks. "
        "Force it off on one of them first."
    )
