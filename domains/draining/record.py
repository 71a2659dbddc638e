"""Reading the record of a maintenance: what was really done, by what is true now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.action_types import OFF
from domains.draining.models import Drain, DrainedGuest, How, is_done
from domains.models import ACTIVE_STATES, Domain
from hosts.models import Host
from vmdash.exceptions import Conflict

if TYPE_CHECKING:
    from vmdash.access.models import User

Outcome = DrainedGuest.Outcome


def open_drain(host: Host, user: User) -> Drain | None:
    """The record of the maintenance that the host is in."""
    return Drain.objects.visible_to(user).open().filter(host=host).first()


def maintenance_of(host: Host, user: User) -> Drain:
    """The same. Raises Conflict: it is in no maintenance."""
    opened = open_drain(host, user)
    if opened is None or not host.in_maintenance:
        raise Conflict(f"{host.name} is not in maintenance.")
    return opened


def away(drain: Drain) -> list[DrainedGuest]:
    """What was done to drain the host, and has not been undone by a return yet.

    Also what came about although its job had failed or was cancelled: tried again by hand, or a guest that took its
    time to shut down.
    """
    back = drain.guests.filter(is_done(), returning=True).values("uuid")
    out = drain.guests.filter(returning=False).exclude(uuid__in=back)
    done = list(out.filter(is_done()))
    rest = list(out.filter(outcome__in=[Outcome.FAILED, Outcome.CANCELLED]))
    guests = Domain.objects.present().in_bulk([record.uuid for record in rest])
    late = [record for record in rest if record.uuid in guests and _came_about(record, guests[record.uuid])]
    return sorted([*done, *late], key=lambda record: record.position)


def _came_about(record: DrainedGuest, guest: Domain) -> bool:
    if How(record.how).is_move:
        return guest.host_id == record.target_id
    if record.from_state not in ACTIVE_STATES or guest.state not in OFF:
        return False
    return guest.has_managed_save if record.how == How.SAVE else record.how == How.SHUTDOWN


def stopped(host: Host) -> list[DrainedGuest]:
    """The guests that the drain which is still open has stopped here, and that are still off."""
    drain = Drain.objects.open().filter(host=host).first()
    records = [record for record in away(drain) if not How(record.how).is_move] if drain else []
    keys = [record.uuid for record in records]
    off = set(Domain.objects.present().filter(pk__in=keys, state__in=OFF).values_list("pk", flat=True))
    return [record for record in records if record.uuid in off]
