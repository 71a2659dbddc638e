"""The fleet as it was at a moment: states and places as the database remembers them, figures from the history store.

Whatever was not recorded is said to be unknown. People see the hosts and guests that they may see now.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import nlargest
from typing import TYPE_CHECKING
from uuid import UUID

from domains.models import ACTIVE_STATES, Domain, DomainState
from domains.selectors import StateCount
from domains.steal.then import MOST_BY_NAME, MOST_OF_ALL, Told, ask_most_steal, ask_steal, ask_steal_on, steal_of
from domains.timeline.events import words_of
from domains.timeline.then import GuestThen, Look, changes_before, counts_then, guests_then
from hosts.models import Host, HostEvent
from hosts.then import FiguresThen, answered_then, connections_then, figures_then, was_away
from vmdash.access.naming import hosts_told
from vmdash.access.roles import Permission, can_everywhere
from vmdash.exceptions import Unavailable
from vmdash.formats import natural

if TYPE_CHECKING:
    from vmdash.access.models import User

log = logging.getLogger(__name__)

BEFORE = timedelta(hours=1)
"""What changed in this time before the moment is listed."""
MOST_GUESTS = 2_000
"""Of a fleet that was larger guests are counted."""
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
    """By name; empty where there were more than `MOST_GUESTS` in all."""
    answered: bool | None = None
    """False: its guests are shown as they were last known. None: that is not known."""

    @property
    def is_recorded(self) -> bool:
        return bool(self.connection or self.figures or self.states)

    @property
    def was_away(self) -> bool:
        return was_away(self.connection)


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
    steal: Mapping[UUID, float]
    """Percent of the time of its vCPUs, of each guest of which it is recorded; where they were only counted, of those
    that lost the most."""
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
        return not self.unavailable and not self.steal and all(host.figures is None for host in self.hosts)


def fleet_then(user: User, at: datetime, hosts: Sequence[Host], *, site: str = "") -> FleetThen:
    """What `user` may see of it. `hosts` are all those that they may see (of the site, if there is one), with their
    sites selected along.

    A few requests to the history store, and a number of queries that does not depend on how many hosts, guests and
    changes there are. A fleet of more than `MOST_GUESTS` is counted; then steal is known of the guests that lost the
    most.
    """
    names = {host.name for host in hosts}
    look = Look(user, at, names, on=names if site else None)
    at_s = int(at.timestamp())
    sees_all = can_everywhere(user, Permission.VIEW)
    everything = sees_all and not site
    with ThreadPoolExecutor(2) as store:  # it takes its time, as the database does
        asked = store.submit(figures_then, at_s)
        # What is large now mostly was so then: that is seen only when all have been counted.
        is_large = everything and Domain.objects.visible_to(user).count() > MOST_GUESTS
        worst = store.submit(ask_most_steal, at_s) if is_large else None
        groups = counts_then(look)
        counted = groups.total() > MOST_GUESTS
        found = [] if counted else sorted(guests_then(look).values(), key=lambda guest: (guest.name, guest.uuid))

        def ask() -> Told:
            if not counted:
                return _ask_each(at_s, [guest for guest in found if _is_active(guest)], everything)
            if everything:
                return worst.result() if worst else ask_most_steal(at_s)
            there = {name for name, state in groups if state in ACTIVE_STATES}
            return _worst_of(look, ask_steal_on(at_s, there)) if there else []

        figures, told, unavailable = _figures(asked.result, ask)
    shown = guests_then(look, _uuids(told)) if counted else {guest.uuid: guest for guest in found}
    steal = steal_of({uuid: guest.host_name for uuid, guest in shown.items() if _is_active(guest)}, told)
    events = changes_before(look, at - BEFORE)
    about = guests_then(look, {event.uuid for event in events}) if counted else shown
    changes = [(event, about[event.uuid]) for event in events if event.uuid in about]
    told_of = hosts_told(user, {*(name for name, _ in groups), *(event.host_name for event, _ in changes)})
    found = [guest if guest.host_name in told_of else replace(guest, host_name="") for guest in found]
    places = _by_host(told_of, groups, found)
    known = None if unavailable else figures
    # Who does not see everything is told of hosts alone that there are.
    tiles = _hosts(hosts, connections_then(hosts, at), known, places, away_exist=not sees_all)
    return FleetThen(
        hosts=[tile for tile in tiles if tile.is_recorded],
        unrecorded=[tile.host for tile in tiles if tile.host and not tile.is_recorded],
        steal=steal,
        worst=_worst(shown, steal),
        changes=[Change(event.at, guest, words_of(event, told_of)) for event, guest in changes],
        unavailable=unavailable,
        guests=groups.total(),
        active=sum(number for (_, state), number in groups.items() if state in ACTIVE_STATES),
    )


def _is_active(guest: GuestThen) -> bool:
    return guest.state in ACTIVE_STATES


def _ask_each(at_s: int, guests: Sequence[GuestThen], everything: bool) -> Told:
    """By their UUIDs; many on the hosts where they were, or, where that is everything, on all."""
    if len(guests) <= MOST_BY_NAME:
        return ask_steal(at_s, [guest.uuid for guest in guests])
    return ask_steal_on(at_s, () if everything else {guest.host_name for guest in guests})


def _worst_of(look: Look, told: Told) -> Told:
    """Of those that this person may see, or whose hosts they may see, those that lost the most: whatever others lost
    beside them takes nothing from these."""
    visible = Domain.objects.visible_to(look.user).order_by().values_list("pk", flat=True)
    theirs = {str(uuid) for uuid in visible.iterator()}
    return nlargest(
        MOST_OF_ALL, (one for one in told if one[0] in theirs or one[1] in look.whole), key=lambda one: one[2]
    )


def _figures(
    hosts: Callable[[], dict[str, FiguresThen]], guests: Callable[[], Told]
) -> tuple[dict[str, FiguresThen], Told, str]:
    """Of hosts and of guests; or why there are none."""
    try:
        told = guests()
        return hosts(), told, ""
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
    figures: Mapping[str, FiguresThen] | None,
    places: _Places,
    *,
    away_exist: bool,
) -> list[HostThen]:
    """`figures`: None where the history store did not answer. `away_exist`: places that are none of the hosts are of
    hosts that there are."""
    known = []
    for host in hosts:
        connection, own = connections.get(host.pk), figures.get(host.name) if figures else None
        answered = answered_then(connection, None if figures is None else own is not None)
        states, guests = places.pop(host.name, ((), ()))
        known.append(HostThen(host.name, host, True, connection, own, states, guests, answered))
    away = [HostThen(name, None, away_exist, None, None, *found) for name, found in places.items()]
    return sorted([*known, *away], key=lambda one: (one.host is None, natural(one.name)))


def _worst(shown: Mapping[UUID, GuestThen], steal: Mapping[UUID, float]) -> list[Loss]:
    losing = sorted(((value, uuid) for uuid, value in steal.items() if value >= WORST_FROM_PERCENT), reverse=True)
    return [Loss(shown[uuid], value) for value, uuid in losing[:WORST]]
