"""The fleet as it was at a moment: states and places as the database remembers them, figures from the history store.

Whatever was not recorded is said to be unknown. People see the hosts and guests that they may see now.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from domains.models import ACTIVE_STATES, Domain
from domains.steal.then import Told, ask_steal, steal_of
from domains.timeline.events import words_of
from domains.timeline.then import GuestThen, changes_before, guests_then
from hosts.models import Host, HostEvent
from hosts.then import FiguresThen, connections_then, figures_then
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Unavailable
from vmdash.formats import natural
from vmdash.main.fleet import MOST_NAMED, MOST_SQUARES, WORST, WORST_FROM_PERCENT, StateCount, by_site

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

BEFORE = timedelta(hours=1)
"""What changed in this time before the moment is listed."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One host as it was."""

    name: str
    host: Host | None
    """None: there is no such host any more."""
    connection: HostEvent | None
    """None: not recorded."""
    figures: FiguresThen | None
    """None: nothing was recorded of it at that moment."""
    guests: Sequence[GuestThen]
    drawn: bool
    """Its guests one by one; else only how many."""
    named: bool

    @property
    def is_recorded(self) -> bool:
        return bool(self.connection or self.figures or self.guests)

    @property
    def answered(self) -> bool:
        """Else its guests are shown as they were last known."""
        return self.figures is not None and not self.was_away

    @property
    def was_away(self) -> bool:
        return self.connection is not None and self.connection.state != Host.State.UP

    @property
    def states(self) -> list[StateCount]:
        """The most frequent first."""
        count = Counter((guest.state, guest.label) for guest in self.guests)
        return [StateCount(state, label, number) for (state, label), number in count.most_common()]


@dataclass(frozen=True, slots=True)
class Loss:
    guest: GuestThen
    percent: float


@dataclass(frozen=True, slots=True)
class Change:
    at: datetime
    guest: GuestThen
    words: str


@dataclass(frozen=True, slots=True)
class Past:
    sites: Sequence[tuple[str, Sequence[Tile]]]
    named: bool
    steal: Mapping[UUID, float]
    """Percent of the time of its vCPUs, of each guest of which it is recorded; of large fleets the worst alone."""
    worst: Sequence[Loss]
    changes: Sequence[Change]
    unrecorded: Sequence[Host]
    """Hosts of which nothing at all is known at that time."""
    unavailable: str
    """Why there are no figures; empty when the history store answered."""
    hosts: int
    guests: int
    active: int
    mean_steal: float | None

    @property
    def is_empty(self) -> bool:
        return not self.sites

    @property
    def without_figures(self) -> bool:
        """The store answered, and had nothing."""
        return not self.unavailable and all(tile.figures is None for _, tiles in self.sites for tile in tiles)


def fleet_then(user: User, at: datetime, hosts: Sequence[Host], *, site: str = "") -> Past:
    """What `user` may see of it. `hosts` are those that they may see (of the site, if there is one), with their sites
    selected along. Two requests to the history store, and a fixed number of queries. Of a fleet that is too large to
    draw each guest, steal is known of those that lost the most."""
    by_name = {host.name: host for host in hosts}
    others = set(Host.objects.exclude(name__in=by_name).values_list("name", flat=True))
    whole = {host.name for host in hosts if can(user, Permission.VIEW, host)}
    at_s = int(at.timestamp())
    is_large = not site and Domain.objects.visible_to(user).count() > MOST_SQUARES
    with ThreadPoolExecutor(2) as store:  # it takes its time, as the database does
        asked = store.submit(figures_then, at_s)
        worst = store.submit(ask_steal, at_s) if is_large else None
        found = guests_then(user, at, seen_whole=whole)
        found.sort(key=lambda guest: (guest.name, guest.uuid))
        shown = {guest.uuid: guest for guest in found if not site or guest.host_name in by_name}
        active = {uuid: guest.host_name for uuid, guest in shown.items() if guest.state in ACTIVE_STATES}
        figures, steal, unavailable = _figures(asked, worst, active, at_s)
    drawn = len(shown) <= MOST_SQUARES
    connections = connections_then(hosts, at)
    places: dict[str, list[GuestThen]] = defaultdict(list)
    for guest in shown.values():
        # The name of a host that there is, but not for this person, is not told.
        places["" if guest.host_name in others else guest.host_name].append(guest)
    named = len(shown) <= MOST_NAMED

    def tile(name: str, host: Host | None) -> Tile:
        connection = connections.get(host.pk) if host else None
        return Tile(name, host, connection, figures.get(name) if host else None, places.get(name, []), drawn, named)

    tiles = [tile(host.name, host) for host in hosts]
    recorded = [one for one in tiles if one.is_recorded]
    away = [tile(name, None) for name in places if name not in by_name]
    return Past(
        sites=by_site(sorted([*recorded, *away], key=_in_order)),
        named=named,
        steal=steal,
        worst=_worst(shown, steal),
        changes=_changes(shown, at),
        unrecorded=sorted((one.host for one in tiles if one.host and not one.is_recorded), key=_by_name),
        unavailable=unavailable,
        hosts=len(recorded),
        guests=len(shown),
        active=sum(guest.state in ACTIVE_STATES for guest in shown.values()),
        mean_steal=_mean_steal(one.figures for one in recorded),
    )


def _figures(
    asked: Future[dict[str, FiguresThen]], worst: Future[Told] | None, active: Mapping[UUID, str], at_s: int
) -> tuple[dict[str, FiguresThen], dict[UUID, float], str]:
    """Of hosts and of guests; or why there are none."""
    try:
        told = worst.result() if worst else ask_steal(at_s, active) if active else []
        return asked.result(), steal_of(active, told), ""
    except Unavailable as error:
        log.warning("%s %s", error.message, error.detail)
        return {}, {}, error.message


def _worst(shown: Mapping[UUID, GuestThen], steal: Mapping[UUID, float]) -> list[Loss]:
    losing = sorted(((value, uuid) for uuid, value in steal.items() if value >= WORST_FROM_PERCENT), reverse=True)
    return [Loss(shown[uuid], value) for value, uuid in losing[:WORST]]


def _changes(shown: Mapping[UUID, GuestThen], at: datetime) -> list[Change]:
    return [
        Change(event.at, shown[event.uuid], words_of(event)) for event in changes_before(at, at - BEFORE, shown.keys())
    ]


def _mean_steal(figures: Iterable[FiguresThen | None]) -> float | None:
    """Each host counts as much as it has vCPUs."""
    known = [(one.steal, one.vcpus) for one in figures if one and one.steal is not None and one.vcpus]
    weight = sum(vcpus for _, vcpus in known)
    return sum(steal * vcpus for steal, vcpus in known) / weight if weight else None


def _by_name(host: Host) -> list[tuple[int, str]]:
    return natural(host.name)


def _in_order(tile: Tile) -> tuple[bool, list[tuple[int, str]]]:
    """Last the hosts that are not there any more."""
    return tile.host is None, natural(tile.name)
