"""The fleet as it was at a moment that is kept."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404
from ninja import Field, Query, Router, Schema

from domains.models import ACTIVE_STATES
from domains.timeline import fleet
from domains.timeline.fleet import FleetThen, fleet_then
from domains.timeline.guests import ListedGuest, PartThen, part_then
from domains.timeline.moments import kept_moment
from domains.timeline.then import GuestThen
from hosts.models import Host
from vmdash.access.guards import SignedInRequest, allow
from vmdash.access.roles import Permission
from vmdash.api.shapes import Line, Paging, Window, same_named

router = Router(tags=["fleet"])

_HOST = "Empty: a host that you may not see, and where none of your guests is now."


class Moment(Schema):
    at: int = Field(ge=0, le=10**11, description="Unix seconds.")
    site: Line = Field("", description="Of this site alone.")


class PartOfMoment(Moment, Paging):
    """Which of the guests of then."""


class PastHost(Schema):
    """A host as it was. null where it was not recorded."""

    name: str = Field(description=_HOST)
    exists: bool = Field(description="There is such a host now, and you may see it.")
    answered: bool | None = Field(
        description="It was connected and has figures. false: its guests are as last known; null: that is not known."
    )
    state: str | None
    state_since: datetime | None
    state_reason: str | None
    cpu_percent: float | None
    steal_percent: float | None
    memory_percent: float | None
    guests: int
    active: int
    states: dict[str, int] = Field(description="How many guests it had in which state.")

    @classmethod
    def of(cls, host: fleet.HostThen) -> "PastHost":
        connection, figures = host.connection, host.figures
        states = {count.state: count.number for count in host.states}
        return cls(
            name=host.name,
            exists=host.host is not None,
            answered=host.answered,
            state=connection.state if connection else None,
            state_since=connection.at if connection else None,
            state_reason=connection.reason if connection else None,
            cpu_percent=figures.cpu if figures else None,
            steal_percent=figures.steal if figures else None,
            memory_percent=figures.memory if figures else None,
            guests=sum(states.values()),
            active=sum(number for state, number in states.items() if state in ACTIVE_STATES),
            states=states,
        )


class GuestLoss(Schema):
    uuid: UUID
    guest: str
    steal_percent: float


class GuestChange(Schema):
    at: datetime
    uuid: UUID
    guest: str
    words: str


class PastFleet(Schema):
    at: datetime
    kept_since: datetime = Field(description="The first moment that can be asked for.")
    note: str = Field(description="Why figures are missing; empty when nothing is wrong.")
    not_recorded: list[str] = Field(description="Hosts of which nothing at all is known at that moment.")
    guests: int
    active: int
    steal_percent: float | None = Field(description="Of all vCPUs of hosts of which it was recorded.")
    hosts: list[PastHost]
    worst: list[GuestLoss] = Field(description="The guests that lost the most CPU time in the minute before.")
    changes: list[GuestChange] = Field(description="What changed last in the hour before, the newest first.")


class PastGuest(Schema):
    uuid: UUID
    name: str = Field(description="As it was called then.")
    host: str = Field(description=_HOST)
    state: str
    state_words: str
    since: datetime = Field(description="It was in this state and at this place from then on.")
    answered: bool | None = Field(
        description="Its host did. false: this is as it was last known; null: that is not known."
    )
    exists: bool = Field(description="There is such a guest now.")
    steal_percent: float | None = Field(description="In the minute before; null: not recorded.")

    @classmethod
    def of(cls, listed: ListedGuest) -> "PastGuest":
        guest = listed.guest
        return cls(
            **same_named(guest, "uuid", "name", "state", "since"),
            host=guest.host_name,
            state_words=guest.label,
            answered=listed.answered,
            exists=guest.still,
            steal_percent=listed.steal,
        )


class PastGuests(Window[PastGuest]):
    note: str = Field(description="Why figures are missing; empty when nothing is wrong.")


@router.get("/past", response=PastFleet)
@allow(Permission.VIEW)
def get_past_fleet(request: SignedInRequest, wish: Query[Moment]) -> PastFleet:
    """Hosts as they were, and how many guests they had. Whatever was not recorded is said to be unknown."""
    at, since = kept_moment(wish.at)
    past = fleet_then(request.user, at, _hosts(request, wish.site), site=wish.site)
    return PastFleet(
        at=at,
        kept_since=since,
        note=_note(past),
        not_recorded=[host.name for host in past.unrecorded],
        guests=past.guests,
        active=past.active,
        steal_percent=past.mean_steal,
        hosts=[PastHost.of(host) for host in past.hosts],
        worst=[GuestLoss(**_named(loss.guest), steal_percent=loss.percent) for loss in past.worst],
        changes=[GuestChange(**_named(change.guest), at=change.at, words=change.words) for change in past.changes],
    )


@router.get("/past/guests", response=PastGuests)
@allow(Permission.VIEW)
def list_past_guests(request: SignedInRequest, wish: Query[PartOfMoment]) -> PastGuests:
    """Guests as they were, by name: those that you may see now, and those gone since from hosts that you see whole."""
    at, _ = kept_moment(wish.at)
    part = slice(wish.offset, wish.offset + wish.limit)
    past = part_then(request.user, at, _hosts(request, wish.site), part, site=wish.site)
    return PastGuests(
        items=[PastGuest.of(listed) for listed in past.guests],
        total=past.total,
        offset=wish.offset,
        limit=wish.limit,
        note=_note(past),
    )


def _hosts(request: SignedInRequest, site: str) -> list[Host]:
    """Raises Http404."""
    hosts = Host.objects.visible_to(request.user).select_related("site").only("name", "site__name")
    found = list(hosts.filter(site__name=site) if site else hosts)
    if site and not found:
        raise Http404(f"There is no site {site}.")
    return found


def _note(past: FleetThen | PartThen) -> str:
    return past.unavailable or ("No figures were recorded at this moment." if past.without_figures else "")


def _named(guest: GuestThen) -> dict[str, Any]:
    return {"uuid": guest.uuid, "guest": guest.name}
