"""What happened to a guest, for the time axis of its charts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from domains.models import Domain, DomainState, GuestEvent
from vmdash.access.naming import UNNAMED, hosts_told
from vmdash.jobs.models import Job
from vmdash.jobs.timeline import by_themselves, job_events
from vmdash.metrics.charts import Event
from vmdash.metrics.panel import MOST_EVENTS
from vmdash.metrics.ranges import Window

if TYPE_CHECKING:
    from vmdash.access.models import User

_TONES: dict[str, str] = {
    DomainState.CRASHED: "bad",
    DomainState.PAUSED: "warn",
    GuestEvent.Kind.MOVED: "busy",
    GuestEvent.Kind.GONE: "warn",
}


def guest_events(guest: Domain, user: User, window: Window) -> list[Event]:
    """Jobs that `user` may see, and what changed by itself, as they may be told; in the order of time, the newest
    `MOST_EVENTS`."""
    about = Job.objects.visible_to(user).filter(target_kind="domain", target_id=str(guest.pk))
    jobs = job_events(about, user, window)
    changes = GuestEvent.objects.filter(uuid=guest.pk, at__gte=window.start, at__lte=window.end)
    newest = list(changes.order_by("-at")[:MOST_EVENTS])
    told = hosts_told(user, {change.host_name for change in newest})
    by_itself = by_themselves([_event(change, told) for change in newest], jobs)
    return sorted([*jobs, *by_itself], key=lambda event: event.at)[-MOST_EVENTS:]


def _event(change: GuestEvent, told: Collection[str]) -> Event:
    what = change.state if change.kind == GuestEvent.Kind.STATE else change.kind
    return Event(change.at, words_of(change, told), _TONES.get(what, ""))


def words_of(change: GuestEvent, told: Collection[str]) -> str:
    """What changed, after the guest's name. `told`: the names of the hosts that the reader is told of."""
    place = change.host_name if change.host_name in told else UNNAMED
    state = DomainState(change.state)
    match change.kind:
        case GuestEvent.Kind.MOVED:
            return f"moved to {place}"
        case GuestEvent.Kind.SEEN:
            return f"seen on {place}: {state.label}"
        case GuestEvent.Kind.GONE:
            return "defined nowhere any more"
    when = "" if change.witnessed else ", at this time at the latest"
    return f"{state.label}{when}"
