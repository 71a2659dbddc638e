"""Guests as they were at a moment, by name and in parts: a list, which needs little of the rest of the fleet."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from domains.models import ACTIVE_STATES
from domains.steal.then import Told, ask_steal, steal_of
from domains.timeline.then import GuestThen, Look, part_by_name
from hosts.models import Host
from hosts.then import answered_then, connections_then, recorded_then
from vmdash.access.naming import hosts_told
from vmdash.exceptions import Unavailable

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedGuest:
    guest: GuestThen
    """`host_name` is empty where this person is not told of the host (`vmdash.access.naming`)."""
    answered: bool | None
    """Its host did; False: this is as it was last known. None: that is not known."""
    steal: float | None
    """Percent of the time of its vCPUs; None: not recorded."""


@dataclass(frozen=True, slots=True)
class PartThen:
    guests: Sequence[ListedGuest]
    total: int
    """In all parts."""
    unavailable: str
    """Why there are no figures; empty when the history store answered."""
    without_figures: bool
    """The store answered, and had nothing."""


def part_then(user: User, at: datetime, hosts: Sequence[Host], part: slice, *, site: str = "") -> PartThen:
    """What `user` may see of them. `hosts` are all those that they may see (of the site, if there is one).

    Few queries, one request to the history store, and one for each hundred guests of the part.
    """
    names = {host.name for host in hosts}
    at_s = int(at.timestamp())
    told: Told = []
    recorded: set[str] | None = None
    unavailable = ""
    with ThreadPoolExecutor(1) as store:  # it takes its time, as the database does
        asked = store.submit(recorded_then, at_s)
        found, total = part_by_name(Look(user, at, names, on=names if site else None), part)
        active = {guest.uuid: guest.host_name for guest in found if guest.state in ACTIVE_STATES}
        try:
            told = ask_steal(at_s, list(active))
            recorded = asked.result() & names
        except Unavailable as error:
            log.warning("%s %s", error.message, error.detail)
            unavailable = error.message
    steal = steal_of(active, told)
    answered = _answered(hosts, {guest.host_name for guest in found}, at, recorded)
    told_of = hosts_told(user, {guest.host_name for guest in found})
    found = [guest if guest.host_name in told_of else replace(guest, host_name="") for guest in found]
    return PartThen(
        guests=[ListedGuest(guest, answered.get(guest.host_name), steal.get(guest.uuid)) for guest in found],
        total=total,
        unavailable=unavailable,
        without_figures=not (unavailable or recorded or steal),
    )


def _answered(
    hosts: Sequence[Host], names: set[str], at: datetime, recorded: set[str] | None
) -> dict[str, bool | None]:
    """By the names of those hosts that were asked for and that there are."""
    wanted = [host for host in hosts if host.name in names]
    connections = connections_then(wanted, at)
    return {
        host.name: answered_then(connections.get(host.pk), None if recorded is None else host.name in recorded)
        for host in wanted
    }
