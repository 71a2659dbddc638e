"""What pages read about guests. The number of queries does not depend on the number of guests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import CharField, Count, F, OrderBy, QuerySet, Sum
from django.db.models.functions import Cast

from domains.figures import fresh_samples, is_fresh, sample_of
from domains.models import Domain, DomainState
from domains.rows import ROW_FIELDS, guest_rows
from domains.search import FigureTerm, Search
from domains.search_fields import FIGURES
from domains.table import ORDERS, Sort
from hosts.models import Host
from vmdash.access.roles import Permission, can_everywhere
from vmdash.live import cache
from vmdash.live.messages import GuestRow, GuestSample, Tick

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from domains.models import DomainQuerySet
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class GuestLine:
    """One line of the table."""

    row: GuestRow
    sample: GuestSample | None
    """The last known figures."""
    host: Host
    tick: Tick | None

    @property
    def answers(self) -> bool:
        """Whether its host does; otherwise all of this is only what was true when it last did."""
        return self.host.enabled and self.host.state == Host.State.UP

    @property
    def is_stale(self) -> bool:
        """Whether nobody has heard of the host for a while, also where the guest is off and has no figures."""
        return not self.answers or self.tick is None or not is_fresh(self.tick)

    @property
    def known_at(self) -> int:
        """When all of this was last known to be true, in Unix milliseconds."""
        return max(self.row["observed_at"], self.tick["at"] if self.tick else 0)

    @property
    def cpu(self) -> float | None:
        return self.sample["cpu"] if self.sample else None

    @property
    def steal(self) -> float | None:
        return self.sample["steal"] if self.sample else None

    @property
    def memory(self) -> float | None:
        """Memory used inside the guest, percent of what it has."""
        used = self.sample["mem"] if self.sample else None
        return 100 * used / self.row["memory_kib"] if used is not None and self.row["memory_kib"] else None


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines out of all that match."""

    lines: Sequence[GuestLine]
    total: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Guests by state: all that a person may see."""

    total: int
    hosts: int
    running: int
    crashed: int
    unknown: int
    """Of hosts that do not answer."""


def window(user: User | AnonymousUser, search: Search, sort: Sort, offset: int, limit: int) -> Window:
    """The lines `offset` … `offset + limit` of what matches, in that order."""
    guests = Domain.objects.visible_to(user).filter(search.condition)
    if search.figures or sort.column in FIGURES:
        keys = _keys_by_figures(guests, user, search.figures, sort)
        wanted = [UUID(key) for key in keys[offset : offset + limit]]
        rows = {guest.pk: guest for guest in _for_rows(Domain.objects.visible_to(user)).filter(pk__in=wanted)}
        return Window(_lines([rows[key] for key in wanted if key in rows]), len(keys))
    order = OrderBy(ORDERS[sort.column], descending=sort.descending)
    ordered = guests.order_by(order, "name", "uuid") if sort.column != "name" else guests.order_by(order, "uuid")
    return Window(_lines(list(_for_rows(ordered)[offset : offset + limit])), guests.count())


def _for_rows(guests: DomainQuerySet) -> DomainQuerySet:
    return guests.select_related("host").only(*ROW_FIELDS)


def _lines(guests: Sequence[Domain]) -> list[GuestLine]:
    ticks = cache.ticks({guest.host_id for guest in guests})
    return [
        GuestLine(row, sample_of(ticks, guest.host_id, guest.pk), guest.host, ticks.get(guest.host_id))
        for guest, row in zip(guests, guest_rows(guests), strict=True)
    ]


def _keys_by_figures(
    guests: DomainQuerySet, user: User | AnonymousUser, terms: Sequence[FigureTerm], sort: Sort
) -> list[str]:
    """UUIDs of the guests for which the terms hold. Where figures are asked for, the database alone cannot answer."""
    order = OrderBy(ORDERS.get(sort.column, F("name")), descending=sort.descending and sort.column not in FIGURES)
    # As text: making ten thousand UUID objects would cost more than the query.
    keys = list(guests.order_by(order, "name", "uuid").values_list(Cast("uuid", CharField()), flat=True))
    samples = samples_of_fleet(user)
    if keys and len(keys[0]) == _DIGITS:
        samples = {uuid.replace("-", ""): sample for uuid, sample in samples.items()}
    if terms:
        keys = [key for key in keys if _all_hold(terms, samples.get(key))]
    return _by_figure(keys, samples, sort) if sort.column in FIGURES else keys


_DIGITS = 32
"""SQLite keeps a UUID as its digits; PostgreSQL shows it with dashes, as libvirt does."""


def _by_figure(keys: Sequence[str], samples: Mapping[str, GuestSample], sort: Sort) -> list[str]:
    """Those without a figure come last, whichever way it is sorted."""
    known, unknown = [], []
    for key in keys:
        sample = samples.get(key)
        figure: float | None = sample[sort.column] if sample else None  # type: ignore[literal-required]
        if figure is None:
            unknown.append(key)
        else:
            known.append((figure, key))
    known.sort(key=itemgetter(0), reverse=sort.descending)
    return [key for _, key in known] + unknown


def _all_hold(terms: Sequence[FigureTerm], sample: GuestSample | None) -> bool:
    return all(term.holds(sample[term.figure] if sample else None) for term in terms)  # type: ignore[literal-required]


def samples_of_fleet(user: User | AnonymousUser) -> Mapping[str, GuestSample]:
    """The fresh figures of every guest that runs, by UUID, on hosts with a guest that `user` sees; also of guests that
    they do not. One query, one round trip to the live cache."""
    hosts = _hosts_of_guests(user).filter(enabled=True).values_list("pk", flat=True)
    return fresh_samples(cache.ticks(hosts).values())


def _hosts_of_guests(user: User | AnonymousUser) -> QuerySet[Host]:
    """The hosts that matter for the guests that `user` sees, also where they do not see the host."""
    if can_everywhere(user, Permission.VIEW):
        return Host.objects.all()
    return Host.objects.filter(pk__in=Domain.objects.visible_to(user).order_by().values("host"))


def counts(user: User | AnonymousUser) -> Counts:
    """Three queries."""
    answering = {
        pk: enabled and state == Host.State.UP
        for pk, state, enabled in _hosts_of_guests(user).values_list("pk", "state", "enabled")
    }
    by_state: Counter[str] = Counter()
    unknown = 0
    for group in count_by_host_and_state(user):
        by_state[group.state] += group.guests
        unknown += 0 if answering.get(group.host_id) else group.guests
    return Counts(
        total=by_state.total(),
        hosts=Host.objects.visible_to(user).count(),
        running=by_state[DomainState.RUNNING] + by_state[DomainState.IDLE],
        crashed=by_state[DomainState.CRASHED],
        unknown=unknown,
    )


@dataclass(frozen=True, slots=True)
class Group:
    """The guests of one host that are in the same state."""

    host_id: int
    state: str
    guests: int
    vcpus: int


@dataclass(frozen=True, slots=True)
class StateCount:
    state: str
    label: str
    number: int


def count_by_host_and_state(user: User | AnonymousUser) -> list[Group]:
    """One query, which an index answers alone."""
    guests = Domain.objects.visible_to(user).order_by().values_list("host_id", "state")
    return [Group(*row) for row in guests.annotate(guests=Count("*"), vcpus=Sum("vcpus"))]
