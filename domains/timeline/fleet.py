"""The fleet as it was at a moment: states and places as the database remembers them, figures from the history store.

Whatever was not recorded is said to be unknown. People see the hosts and guests that they may see now.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from domains.models import ACTIVE_STATES, Domain, DomainState
from domains.selectors import StateCount
from domains.steal.then import Told, ask_steal, steal_of
from domains.timeline.events import words_of
from domains.timeline.then import GuestThen, changes_before, counts_then, guests_then
from hosts.models import Host, HostEvent
from hosts.then import FiguresThen, connections_then, figures_then
from vmdash.access.naming import hosts_told
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import Unavailable
from vmdash.formats import natural

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

BEFORE = timedelta(hours=1)
"""What changed in this time before the moment is listed."""
MOST_GUESTS = 2_000
"""Of a larger fleet guests are counted, unless a part of them is asked for."""
WORST = 5
WORST_FROM_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class HostThen:
    """One host as it was."""

    name: str
    """Empty for all that this person is not told of (`vmdash.access.naming`)."""
    host: Host | None
    """None: there is no such host any more, or this person sees some of its guests and not the host."""
    exists: bool
    """There is such a host now."""
    connection: HostEvent | None
    """None: not recorded."""
    figures: FiguresThen | None
    """None: nothing was recorded of it at that moment."""
    states: Sequence[StateCount]
    """How many guests it had in which state, the most frequent first."""
    guests: Sequence[GuestThen]
    """By name; empty where there are more than `MOST_GUESTS` in all."""

    @property
    def is_recorded(self) -> bool:
        return bool(self.connection or self.figures or self.states)

    @property
    def answered(self) -> bool:
        """Else its guests are shown as they were last known."""
        return self.figures is not None and not self.was_away

    @property
    def was_away(self) -> bool:
        return self.connection is not None and self.connection.state != Host.State.UP


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
class FleetThen:
    hosts: Sequence[HostThen]
    """Those of which something is known: in order, last those that are not there any more."""
    unrecorded: Sequence[Host]
    """Hosts of which nothing at all is known at that time."""
    listed: Sequence[GuestThen]
    """By name; those that were asked for, or none where they were only counted. `host_name` is empty where this person
    is not told of the host."""
    steal: Mapping[UUID, float]
    """Percent of the time of its vCPUs, of each guest that is listed and of which it is recorded; where they were only
    counted of those that lost the most."""
    worst: Sequence[Loss]
    changes: Sequence[Change]
    unavailable: str
    """Why there are no figures; empty when the history store answered."""
    guests: int
    active: int

    @property
    def known_hosts(self) -> int:
        """Without those that are not there any more."""
        return sum(host.host is not None for host in self.hosts)

    @property
    def mean_steal(self) -> float | None:
        """Percent. Each host counts as much as it has vCPUs."""
        figures = [host.figures for host in self.hosts if host.host]
        known = [(one.steal, one.vcpus) for one in figures if one and one.steal is not None and one.vcpus]
        weight = sum(vcpus for _, vcpus in known)
        return sum(steal * vcpus for steal, vcpus in known) / weight if weight else None

    @property
    def without_figures(self) -> bool:
        """The store answered, and had nothing."""
        return not self.unavailable and all(host.figures is None for host in self.hosts)


def fleet_then(
    user: User, at: datetime, hosts: Sequence[Host], *, site: str = "", part: slice | None = None
) -> FleetThen:
    """What `user` may see of it. `hosts` are those that they may see (of the site, if there is one), with their sites
    selected along. `part`: of the guests by name these are listed, however many there are.

    Two requests to the history store, and a number of queries that does not depend on how many hosts and guests there
    are. A fleet of more than `MOST_GUESTS` is counted; then steal is known of the guests that lost the most.
    """
    names = {host.name for host in hosts}
    whole = {host.name for host in hosts if can(user, Permission.VIEW, host)}
    at_s = int(at.timestamp())
    counted = part is None and not site and Domain.objects.visible_to(user).count() > MOST_GUESTS

    def those(uuids: Collection[UUID]) -> dict[UUID, GuestThen]:
        return {guest.uuid: guest for guest in guests_then(user, at, seen_whole=whole, only=uuids)}

    with ThreadPoolExecutor(2) as store:  # it takes its time, as the database does
        asked = store.submit(figures_then, at_s)
        worst = store.submit(ask_steal, at_s) if counted else None
        if counted:
            found: list[GuestThen] = []
            groups = counts_then(user, at, seen_whole=whole)
        else:
            found = [guest for guest in guests_then(user, at, seen_whole=whole) if not site or guest.host_name in names]
            found.sort(key=lambda guest: (guest.name, guest.uuid))
            groups = Counter((guest.host_name, guest.state) for guest in found)
        active = [guest.uuid for guest in (found[part] if part else found) if _is_active(guest)]
        figures, told, unavailable = _figures(asked, worst, active, at_s)
    shown = those(_uuids(told)) if counted else {guest.uuid: guest for guest in found}
    steal = steal_of({uuid: guest.host_name for uuid, guest in shown.items() if _is_active(guest)}, told)
    changes = changes_before(at, at - BEFORE, those if counted else lambda _: shown)
    told_of = hosts_told(user, {*(name for name, _ in groups), *(event.host_name for event, _ in changes)})
    found = [guest if guest.host_name in told_of else replace(guest, host_name="") for guest in found]
    places = _by_host(told_of, groups, found if len(found) <= MOST_GUESTS else [])
    # Who does not see everything is told of hosts alone that there are.
    some_are_gone = can_everywhere(user, Permission.VIEW)
    tiles = _hosts(hosts, connections_then(hosts, at), figures, places, away_exist=not some_are_gone)
    return FleetThen(
        hosts=[tile for tile in tiles if tile.is_recorded],
        unrecorded=[tile.host for tile in tiles if tile.host and not tile.is_recorded],
        listed=found[part] if part else found,
        steal=steal,
        worst=_worst(shown, steal),
        changes=[Change(event.at, guest, words_of(event, told_of)) for event, guest in changes],
        unavailable=unavailable,
        guests=groups.total(),
        active=sum(number for (_, state), number in groups.items() if state in ACTIVE_STATES),
    )


def _is_active(guest: GuestThen) -> bool:
    return guest.state in ACTIVE_STATES


def _figures(
    asked: Future[dict[str, FiguresThen]], worst: Future[Told] | None, active: Sequence[UUID], at_s: int
) -> tuple[dict[str, FiguresThen], Told, str]:
    """Of hosts and of guests; or why there are none."""
    try:
        told = worst.result() if worst else ask_steal(at_s, active) if active else []
        return asked.result(), told, ""
    except Unavailable as error:
        log.warning("%s %s", error.message, error.detail)
        return {}, [], error.message


def _uuids(told: Told) -> set[UUID]:
    """Others may write into the same store, whatever they call a UUID."""
    found = set()
    for text, _, _ in told:
        with suppress(ValueError):
            found.add(UUID(text))
    return found


_Places = dict[str, tuple[list[StateCount], list[GuestThen]]]


def _by_host(told_of: Collection[str], groups: Counter[tuple[str, str]], guests: Iterable[GuestThen]) -> _Places:
    """The guests of each host, counted and one by one, under the name that may be told."""
    counts, places = defaultdict[str, Counter[str]](Counter), defaultdict[str, list[GuestThen]](list)
    for (name, state), number in groups.items():
        counts[name if name in told_of else ""][state] += number
    for guest in guests:
        places[guest.host_name].append(guest)
    return {
        name: (
            [StateCount(state, str(DomainState(state).label), number) for state, number in count.most_common()],
            places[name],
        )
        for name, count in counts.items()
    }


def _hosts(
    hosts: Sequence[Host],
    connections: Mapping[int, HostEvent],
    figures: Mapping[str, FiguresThen],
    places: _Places,
    *,
    away_exist: bool,
) -> list[HostThen]:
    """`away_exist`: places that are none of the hosts are of hosts that there are."""
    none: tuple[Sequence[StateCount], Sequence[GuestThen]] = ((), ())
    known = [
        HostThen(host.name, host, True, connections.get(host.pk), figures.get(host.name), *places.pop(host.name, none))
        for host in hosts
    ]
    away = [HostThen(name, None, away_exist, None, None, *found) for name, found in places.items()]
    return sorted([*known, *away], key=lambda one: (one.host is None, natural(one.name)))


def _worst(shown: Mapping[UUID, GuestThen], steal: Mapping[UUID, float]) -> list[Loss]:
    losing = sorted(((value, uuid) for uuid, value in steal.items() if value >= WORST_FROM_PERCENT), reverse=True)
    return [Loss(shown[uuid], value) for value, uuid in losing[:WORST]]
