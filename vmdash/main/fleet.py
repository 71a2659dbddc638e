"""What the fleet page shows. The number of queries depends on nothing, the work per guest is small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar
from uuid import UUID

from domains.action_types import STATE_WORDS
from domains.figures import fresh_samples, is_fresh
from domains.models import ACTIVE_STATES, Domain, DomainState
from domains.numa.fleet import count_misplaced
from domains.rows import reason_words
from domains.selectors import Group, StateCount, count_by_host_and_state
from domains.slowness import SLOW_STEAL_PERCENT
from domains.timeline.fleet import MOST_GUESTS, WORST, WORST_FROM_PERCENT
from domains.troubles import ACCIDENT
from hosts.models import Host
from hosts.status import Status, status_of
from vmdash.alerts.models import Alert
from vmdash.alerts.selectors import loud
from vmdash.formats import natural
from vmdash.jobs.models import Job
from vmdash.jobs.selectors import JobRow, rows_of
from vmdash.live import cache
from vmdash.main.last_hour import Happening, last_hour
from vmdash.metrics.trouble import HistoryTrouble, history_trouble

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User
    from vmdash.live.messages import GuestSample, Tick

MOST_SQUARES = MOST_GUESTS
"""Guests that are drawn one by one; a larger fleet is drawn as one bar per host, as in the past."""
MOST_NAMED = 80
"""Guests that are drawn with their names."""
MOST_IN_LIST = 12
MOST_JOBS = 8
MOST_SLOW = 5
SAID_ALREADY = ("HostUnreachable", "GuestLosesTime", "SplitBrain")
"""Rules of ours whose alerts would only repeat what "Needs attention" says anyway."""
_STATE_FIELDS = ("enabled", "maintenance", "state", "state_since", "state_reason", "last_seen_at")
_HOST_FIELDS = ("name", "site__name", "cpus", *_STATE_FIELDS)
_LABELS = {state.value: str(state.label) for state in DomainState}


@dataclass(frozen=True, slots=True)
class Square:
    """One guest of a tile."""

    uuid: UUID
    name: str
    state: str
    label: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One host."""

    host: Host
    status: Status
    tick: Tick | None
    states: list[StateCount]
    """How many guests it has in which state, the most frequent first."""
    squares: list[Square]
    """Its guests; empty when the fleet is too large to draw each."""
    named: bool
    """The fleet is small enough to write their names too."""

    @property
    def answers(self) -> bool:
        return self.host.enabled and self.host.state == Host.State.UP

    @property
    def is_stale(self) -> bool:
        return not self.answers or (self.tick is not None and not is_fresh(self.tick))

    @property
    def summary(self) -> str:
        """ "12 guests: 11 running, 1 shut off"; for those who cannot see the squares."""
        states = ", ".join(f"{count.number} {count.label}" for count in self.states)
        return f"{len(self.squares)} guest{'' if len(self.squares) == 1 else 's'}: {states}"

    @property
    def cpu(self) -> float | None:
        return self.tick["sample"]["cpu"] if self.tick else None

    @property
    def steal(self) -> float | None:
        return self.tick["sample"]["steal"] if self.tick else None

    @property
    def cpu_bar(self) -> float | None:
        """As much of it as leaves room for the steal beside it."""
        return None if self.cpu is None else min(self.cpu, 100 - (self.steal or 0))

    @property
    def memory(self) -> float | None:
        """Percent."""
        sample = self.tick["sample"] if self.tick else None
        if not sample or sample["mem"] is None or not sample["mem_total"]:
            return None
        return 100 * sample["mem"] / sample["mem_total"]


@dataclass(frozen=True, slots=True)
class Totals:
    hosts: int
    guests: int
    vcpus: int
    """Of active guests."""
    cpus: int
    steal: float | None
    """Percent of the time of all vCPUs."""
    misplaced: int
    """Guests that run where they should not in the NUMA cells of their hosts."""

    @property
    def overcommit(self) -> float | None:
        return self.vcpus / self.cpus if self.cpus else None


@dataclass(frozen=True, slots=True)
class Loss:
    """A guest and the share of its CPU time that it loses to others."""

    uuid: str
    name: str
    percent: float


@dataclass(frozen=True, slots=True)
class Casualty:
    """A guest whose state alone tells that somebody should look."""

    uuid: UUID
    name: str
    icon: str
    words: str
    """What is wrong, as the rest of a sentence: "is paused: disk I/O error"."""


@dataclass(frozen=True, slots=True)
class Fleet:
    sites: list[tuple[str, list[Tile]]]
    named: bool
    """Its guests are drawn with their names."""
    totals: Totals
    silent_hosts: list[Tile]
    casualties: list[Casualty]
    slow: list[Loss]
    """Guests that lose so much CPU time that people notice."""
    worst: list[Loss]
    alerts: list[Alert]
    """Loud ones that say something which the rest does not."""
    jobs: list[JobRow]
    happenings: list[Happening]
    history: HistoryTrouble | None

    @property
    def is_calm(self) -> bool:
        return not (self.silent_hosts or self.casualties or self.slow or self.alerts or self.history)


def fleet(user: User, *, site: str = "") -> Fleet:
    """Everything that `user` may see; with `site`, only the tiles of that site."""
    found = Host.objects.visible_to(user).select_related("site").only(*_HOST_FIELDS)
    hosts = sorted(found, key=lambda host: natural(host.name))
    ticks = cache.ticks(host.pk for host in hosts if host.enabled)
    groups = count_by_host_and_state(user)
    states = _states(groups)
    shown = [host for host in hosts if not site or (host.site and host.site.name == site)]
    squares = _squares(user, {host.pk for host in shown}, states)
    named = sum(map(len, squares.values())) <= MOST_NAMED
    tiles = [
        Tile(host, status_of(host), ticks.get(host.pk), states.get(host.pk, []), squares.get(host.pk, []), named)
        for host in shown
    ]
    losses = _losses(user, fresh_samples(ticks.values()))
    return Fleet(
        sites=by_site(tiles),
        named=named,
        totals=_totals(hosts, groups, ticks.values(), count_misplaced(user)),
        silent_hosts=[tile for tile in tiles if tile.host.enabled and not tile.answers][:MOST_IN_LIST],
        casualties=_casualties(user),
        slow=[loss for loss in losses if loss.percent >= SLOW_STEAL_PERCENT][:MOST_SLOW],
        worst=losses[:WORST],
        alerts=list(loud(user).exclude(rule__in=SAID_ALREADY)[:MOST_IN_LIST]),
        jobs=rows_of(Job.objects.visible_to(user).unfinished()[:MOST_JOBS], user),
        happenings=last_hour(user, hosts),
        history=history_trouble(),
    )


def _states(groups: Iterable[Group]) -> dict[int, list[StateCount]]:
    by_host: dict[int, list[StateCount]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: -group.guests):
        by_host[group.host_id].append(StateCount(group.state, _LABELS[group.state], group.guests))
    return by_host


def _squares(
    user: User | AnonymousUser, shown: set[int], states: Mapping[int, Sequence[StateCount]]
) -> dict[int, list[Square]]:
    if sum(count.number for pk in shown for count in states.get(pk, [])) > MOST_SQUARES:
        return {}
    guests = Domain.objects.visible_to(user).filter(host__in=shown).order_by("name", "uuid")
    by_host: dict[int, list[Square]] = defaultdict(list)
    for host_id, pk, name, state in guests.values_list("host_id", "pk", "name", "state"):
        by_host[host_id].append(Square(pk, name, state, _LABELS[state]))
    return by_host


def _losses(user: User | AnonymousUser, samples: Mapping[str, GuestSample]) -> list[Loss]:
    """The guests that lose the most, worst first."""
    losing = [
        (steal, uuid) for uuid, sample in samples.items() if (steal := sample["steal"] or 0) >= WORST_FROM_PERCENT
    ]
    worst = sorted(losing, reverse=True)[:MOST_IN_LIST]
    guests = Domain.objects.visible_to(user).filter(pk__in=[uuid for _, uuid in worst]).order_by()
    names = dict(guests.values_list("pk", "name"))
    return [Loss(uuid, names[UUID(uuid)], steal) for steal, uuid in worst if UUID(uuid) in names]


class HasHost(Protocol):
    @property
    def host(self) -> Host | None: ...


H = TypeVar("H", bound=HasHost)


def by_site(tiles: Iterable[H]) -> list[tuple[str, list[H]]]:
    """Sites by name, hosts without one last; within a site in the order of `tiles`."""
    sites: dict[str, list[H]] = defaultdict(list)
    for tile in tiles:
        sites[tile.host.site.name if tile.host and tile.host.site else ""].append(tile)
    return sorted(sites.items(), key=lambda item: (not item[0], item[0]))


def _totals(hosts: Sequence[Host], groups: Sequence[Group], ticks: Iterable[Tick], misplaced: int) -> Totals:
    # Each host counts as much as it has vCPUs. Ticks of an older collector lack these.
    measured = [
        (tick["sample"]["steal"], tick["sample"].get("vcpus", tick["sample"]["running"]))
        for tick in ticks
        if is_fresh(tick) and tick["sample"]["steal"] is not None
    ]
    weight = sum(vcpus for _, vcpus in measured)
    return Totals(
        hosts=len(hosts),
        guests=sum(group.guests for group in groups),
        vcpus=sum(group.vcpus for group in groups if group.state in ACTIVE_STATES),
        cpus=sum(host.cpus for host in hosts),
        steal=sum((steal or 0) * vcpus for steal, vcpus in measured) / weight if weight else None,
        misplaced=misplaced,
    )


def _casualties(user: User | AnonymousUser) -> list[Casualty]:
    """Two queries. Split brains first, then crashes, the newest first."""
    guests = Domain.objects.visible_to(user).only("name", "state", "state_reason", "split_brain")
    twice = guests.filter(split_brain=True)[:MOST_IN_LIST]
    accidents = guests.filter(ACCIDENT, split_brain=False).order_by("state", "-state_since")[:MOST_IN_LIST]
    return [_casualty(guest) for guest in [*twice, *accidents]]


def _casualty(guest: Domain) -> Casualty:
    if guest.split_brain:
        return Casualty(guest.pk, guest.name, "warning", "is active on two hosts at once")
    why = f": {words}" if (words := reason_words(guest)) else ""
    return Casualty(guest.pk, guest.name, guest.state, f"{STATE_WORDS[DomainState(guest.state)]}{why}")
