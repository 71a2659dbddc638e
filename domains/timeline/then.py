"""What states guests were in, and where, at a moment that is remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value

from domains.models import Domain, DomainState, GuestEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

MOST_CHANGES = 15


@dataclass(frozen=True, slots=True)
class GuestThen:
    """A guest as it was. `still` tells whether it has a page now."""

    uuid: UUID
    name: str
    """As it was called then."""
    host_name: str
    state: str
    """A `DomainState`."""
    since: datetime
    """It was in this state and at this place from then on."""
    still: bool

    @property
    def label(self) -> str:
        return str(DomainState(self.state).label)


@dataclass(frozen=True, slots=True)
class Look:
    """Of which guests somebody may know how they were at a moment.

    Those that exist now are seen by whoever may see them now. Of those that do not, only the names of the hosts where
    they were are left to decide by: they are seen by those who may see everything on that host.
    """

    user: User | AnonymousUser
    at: datetime
    whole: Collection[str]
    """The names of the hosts on which they may see everything."""
    on: Collection[str] | None = None
    """On these hosts alone."""

    def last_events(self, only: Collection[UUID] | None = None) -> list[QuerySet[GuestEvent]]:
        """What tells of guests that are still there, and of those that are gone since; `only`: of these."""
        found: list[QuerySet[GuestEvent]] = [
            _still_there(self.user, self.at, only).annotate(still=Value(True)),
            _gone_since(self.at, self.whole, only).annotate(still=Value(False)),
        ]
        return found if self.on is None else [events.filter(host_name__in=self.on) for events in found]


def guests_then(look: Look, only: Collection[UUID] | None = None) -> dict[UUID, GuestThen]:
    """The guests that were defined at that moment, in no order; `only`: of these. Two queries."""
    found = (told for events in look.last_events(only) for told in events.values_list(*_OF_GUEST))
    return {told[0]: GuestThen(*told) for told in found}


def part_by_name(look: Look, part: slice) -> tuple[list[GuestThen], int]:
    """Some of them in the order of their names, and how many there are in all. Two queries, which sort and count by
    themselves."""
    still, gone = (events.values_list(*_OF_GUEST) for events in look.last_events())
    every = still.union(gone, all=True)
    return [GuestThen(*told) for told in every.order_by("name", "uuid")[part]], every.count()


def counts_then(look: Look) -> Counter[tuple[str, str]]:
    """How many of them there were, by the name of their host and their state. Two queries, which count by themselves:
    to read each guest of a large fleet takes several times as long."""
    found = Counter[tuple[str, str]]()
    for events in look.last_events():
        for host_name, state, number in events.values_list("host_name", "state").annotate(number=Count("pk")):
            found[host_name, state] += number
    return found


def changes_before(look: Look, since: datetime) -> list[GuestEvent]:
    """What changed last in the time before the moment, the newest first, of those guests alone. One query, however much
    happened to others."""
    last = GuestEvent.objects.filter(uuid=OuterRef("uuid"), at__lte=look.at).order_by("-at", "-id")
    found = GuestEvent.objects.filter(at__gt=since, at__lte=look.at).alias(
        last_kind=Subquery(last.values("kind")[:1]), last_host=Subquery(last.values("host_name")[:1])
    )
    still = Q(uuid__in=Domain.objects.visible_to(look.user).order_by().values("pk"))
    gone = Q(uuid__in=_went(look.at).values("uuid"), last_host__in=look.whole)
    found = found.filter(still | gone, last_kind__in=_DEFINED)
    if look.on is not None:
        found = found.filter(last_host__in=look.on)
    return list(found.order_by("-at", "-id")[:MOST_CHANGES])


_OF_GUEST = ("uuid", "name", "host_name", "state", "at", "still")
_DEFINED = [kind for kind in GuestEvent.Kind.values if kind != GuestEvent.Kind.GONE]


def _still_there(user: User | AnonymousUser, at: datetime, only: Collection[UUID] | None) -> QuerySet[GuestEvent]:
    guests = Domain.objects.visible_to(user).order_by()
    if only is not None:
        guests = guests.filter(pk__in=only)
    return _newest_of(guests.annotate(event=_newest(at, of="pk")).values("event"))


def _gone_since(at: datetime, seen_whole: Collection[str], only: Collection[UUID] | None) -> QuerySet[GuestEvent]:
    went = _went(at)
    if only is not None:
        went = went.filter(uuid__in=only)
    newest = went.annotate(event=_newest(at, of="uuid")).values("event")
    return _newest_of(newest).filter(host_name__in=seen_whole)


def _went(at: datetime) -> QuerySet[GuestEvent]:
    """That guests went after a moment that are defined nowhere now."""
    went = GuestEvent.objects.filter(kind=GuestEvent.Kind.GONE, at__gt=at).order_by()
    return went.exclude(uuid__in=Domain.objects.present().order_by().values("pk"))


def first_event_at() -> datetime | None:
    return GuestEvent.objects.order_by("at").values_list("at", flat=True).first()


def _newest(at: datetime, *, of: str) -> Subquery:
    """The last event of a guest until a moment."""
    return Subquery(GuestEvent.objects.filter(uuid=OuterRef(of), at__lte=at).order_by("-at", "-id").values("pk")[:1])


def _newest_of(events: Any) -> QuerySet[GuestEvent]:
    """These events, but for those of guests that were gone."""
    return GuestEvent.objects.filter(pk__in=events).exclude(kind=GuestEvent.Kind.GONE).order_by()
