"""Where a guest is, decided from what its hosts say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domains.models import ACTIVE_STATES, DomainState, Sighting
from hosts.models import Host

ARRIVAL = timedelta(seconds=10)
"""A guest that came by migration is believed for so long to have left its source, which may be late to say so."""
_MOVING_REASONS = frozenset({"migration", "starting_up", "postcopy", "postcopy_failed"})
_ARRIVED_REASONS = frozenset({"migrated", "postcopy"})


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`sighting` is what the guest's row follows; None: nobody has the guest any more."""

    sighting: Sighting | None
    split_brain: bool = False


def locate(sightings: Sequence[Sighting], current_host_id: int | None, now: datetime) -> Whereabouts:
    """Where a guest is: where it runs, else where the row says, else wherever it is defined.

    Hosts that are connected count before those that are not, since only they tell what is true now; so a guest that
    was started elsewhere after its host died is found there. Two connected hosts that both run it are a split brain;
    that the same host was added twice, under two names, is none, and neither is a live migration in flight. The
    sightings must have their hosts loaded.
    """
    running = [sighting for sighting in sightings if sighting.state in ACTIVE_STATES and not _is_moving(sighting)]
    seen_running = [sighting for sighting in running if _is_connected(sighting.host)]
    arrived = [sighting for sighting in seen_running if _has_arrived(sighting, now)]
    machines = {sighting.host.host_uuid or sighting.host_id for sighting in arrived or seen_running}
    enabled = [sighting for sighting in sightings if sighting.host.enabled]
    for candidates in (arrived, seen_running, running, enabled, sightings):
        if candidates:
            return Whereabouts(_choose(candidates, current_host_id), split_brain=len(machines) > 1)
    return Whereabouts(None)


def _is_moving(sighting: Sighting) -> bool:
    """Paused on one side of a live migration: the source near its end, or the target until it takes over."""
    return sighting.state == DomainState.PAUSED and sighting.state_reason in _MOVING_REASONS


def _has_arrived(sighting: Sighting, now: datetime) -> bool:
    """It runs here since a moment ago because a live migration brought it."""
    arrived = sighting.state == DomainState.RUNNING and sighting.state_reason in _ARRIVED_REASONS
    return arrived and now - sighting.seen_at < ARRIVAL


def _is_connected(host: Host) -> bool:
    return host.enabled and host.state == Host.State.UP


def _choose(candidates: Sequence[Sighting], current_host_id: int | None) -> Sighting:
    for sighting in candidates:
        if sighting.host_id == current_host_id:
            return sighting
    return max(candidates, key=lambda sighting: sighting.seen_at)
