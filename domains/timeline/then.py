"""What states guests were in, and where, at a moment that is remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

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
    still: bool

    @property
    def label(self) -> str:
        return str(DomainState(self.state).label)


def guests_then(user: User | AnonymousUser, at: datetime, *, seen_whole: Collection[str]) -> list[GuestThen]:
    """The guests that were defined at that moment, in no order, as far as `user` may know of them. Two queries.

    Those that exist now are seen by whoever may see them now. Of those that do not, only the names of the hosts where
    they were are left to decide by: they are seen by those who may see everything on that host (`seen_whole`).
    """
    return [*_still_there(user, at), *_gone_since(at, seen_whole)]


def _still_there(user: User | AnonymousUser, at: datetime) -> Iterator[GuestThen]:
    guests = Domain.objects.visible_to(user).order_by()
    newest = guests.annotate(event=_newest(at, of="pk")).values("event")
    yield from _were(GuestEvent.objects.filter(pk__in=newest), still=True)


def _gone_since(at: datetime, seen_whole: Collection[str]) -> Iterator[GuestThen]:
    went = GuestEvent.objects.filter(kind=GuestEvent.Kind.GONE, at__gt=at).order_by()
    went = went.exclude(uuid__in=Domain.objects.present().order_by().values("pk"))
    newest = went.annotate(event=_newest(at, of="uuid")).values("event")
    for guest in _were(GuestEvent.objects.filter(pk__in=newest), still=False):
        if guest.host_name in seen_whole:
            yield guest


def changes_before(at: datetime, since: datetime, uuids: Collection[UUID]) -> list[GuestEvent]:
    """What changed about these guests in the time before a moment, the newest first."""
    found = GuestEvent.objects.filter(at__gt=since, at__lte=at).order_by("-at", "-id")
    changes = []
    for event in found.iterator(chunk_size=200):
        if event.uuid in uuids:
            changes.append(event)
            if len(changes) == MOST_CHANGES:
                break
    return changes


def first_event_at() -> datetime | None:
    return GuestEvent.objects.order_by("at").values_list("at", flat=True).first()


def _newest(at: datetime, *, of: str) -> Subquery:
    """The last event of a guest until a moment."""
    return Subquery(GuestEvent.objects.filter(uuid=OuterRef(of), at__lte=at).order_by("-at", "-id").values("pk")[:1])


def _were(events: QuerySet[GuestEvent], *, still: bool) -> Iterator[GuestThen]:
    told = events.exclude(kind=GuestEvent.Kind.GONE).order_by()
    for uuid, name, host_name, state in told.values_list("uuid", "name", "host_name", "state"):
        yield GuestThen(uuid, name, host_name, state, still)
