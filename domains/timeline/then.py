"""What states guests were in, and where, at a moment that is remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery

from domains.models import Domain, DomainState, GuestEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

MOST_CHANGES = 15
_CHUNK = 200


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


def guests_then(
    user: User | AnonymousUser, at: datetime, *, seen_whole: Collection[str], only: Collection[UUID] | None = None
) -> list[GuestThen]:
    """The guests that were defined at that moment, in no order, as far as `user` may know of them; `only`: of these.
    Two queries.

    Those that exist now are seen by whoever may see them now. Of those that do not, only the names of the hosts where
    they were are left to decide by: they are seen by those who may see everything on that host (`seen_whole`).
    """
    return [
        GuestThen(*told, still=still)
        for still, events in ((True, _still_there(user, at, only)), (False, _gone_since(at, seen_whole, only)))
        for told in events.values_list("uuid", "name", "host_name", "state", "at")
    ]


def counts_then(user: User | AnonymousUser, at: datetime, *, seen_whole: Collection[str]) -> Counter[tuple[str, str]]:
    """How many of them there were, by the name of their host and their state. Two queries, which count by themselves:
    to read each guest of a large fleet takes several times as long."""
    found = Counter[tuple[str, str]]()
    for events in (_still_there(user, at, None), _gone_since(at, seen_whole, None)):
        for host_name, state, number in events.values_list("host_name", "state").annotate(number=Count("pk")):
            found[host_name, state] += number
    return found


def _still_there(user: User | AnonymousUser, at: datetime, only: Collection[UUID] | None) -> QuerySet[GuestEvent]:
    guests = Domain.objects.visible_to(user).order_by()
    if only is not None:
        guests = guests.filter(pk__in=only)
    return _newest_of(guests.annotate(event=_newest(at, of="pk")).values("event"))


def _gone_since(at: datetime, seen_whole: Collection[str], only: Collection[UUID] | None) -> QuerySet[GuestEvent]:
    went = GuestEvent.objects.filter(kind=GuestEvent.Kind.GONE, at__gt=at).order_by()
    went = went.exclude(uuid__in=Domain.objects.present().order_by().values("pk"))
    if only is not None:
        went = went.filter(uuid__in=only)
    newest = went.annotate(event=_newest(at, of="uuid")).values("event")
    return _newest_of(newest).filter(host_name__in=seen_whole)


def changes_before(
    at: datetime, since: datetime, shown: Callable[[Collection[UUID]], Mapping[UUID, GuestThen]]
) -> list[tuple[GuestEvent, GuestThen]]:
    """What changed in the time before a moment, the newest first, with the guests that it is about. `shown` tells which
    of some guests may be shown; it is asked until there are enough."""
    found = GuestEvent.objects.filter(at__gt=since, at__lte=at).order_by("-at", "-id")
    changes: list[tuple[GuestEvent, GuestThen]] = []
    events = found.iterator(chunk_size=_CHUNK)
    while len(changes) < MOST_CHANGES and (some := list(islice(events, _CHUNK))):
        guests = shown({event.uuid for event in some})
        changes += [(event, guests[event.uuid]) for event in some if event.uuid in guests]
    return changes[:MOST_CHANGES]


def first_event_at() -> datetime | None:
    return GuestEvent.objects.order_by("at").values_list("at", flat=True).first()


def _newest(at: datetime, *, of: str) -> Subquery:
    """The last event of a guest until a moment."""
    return Subquery(GuestEvent.objects.filter(uuid=OuterRef(of), at__lte=at).order_by("-at", "-id").values("pk")[:1])


def _newest_of(events: Any) -> QuerySet[GuestEvent]:
    """These events, but for those of guests that were gone."""
    return GuestEvent.objects.filter(pk__in=events).exclude(kind=GuestEvent.Kind.GONE).order_by()
