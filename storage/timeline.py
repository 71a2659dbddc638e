"""The chart of a pool's page, and what happened to the pool and to its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hosts.timeline import connections
from storage.models import Pool, PoolEvent
from storage.pool_actions import ACTIONS, STATE_WORDS
from vmdash.jobs.models import Job
from vmdash.jobs.timeline import by_themselves, job_events
from vmdash.metrics.charts import Chart, Event, Line
from vmdash.metrics.panel import MOST_EVENTS
from vmdash.metrics.query import labels
from vmdash.metrics.ranges import Window

if TYPE_CHECKING:
    from vmdash.access.models import User

_RARELY_S = 300
"""Pools are looked at about once a minute."""
_CHANGES_STATE = [ACTIONS[key].kind_name for key in ("start", "stop", "build", "undefine")]
"""What else is done to pools is not meant to, as when libvirt stops a pool that cannot be looked through."""
_TONES: dict[str, str] = {
    Pool.State.INACTIVE: "warn",
    Pool.State.DEGRADED: "warn",
    Pool.State.INACCESSIBLE: "bad",
    PoolEvent.Kind.GONE: "warn",
}


def pool_charts(pool: Pool, window: Window) -> list[Chart]:
    only = labels(host=pool.host.name, uuid=str(pool.uuid))
    over = f"{max(window.step_s, _RARELY_S)}s"

    def mean(series: str) -> str:
        return f"max(avg_over_time({series}{only}[{over}]))"

    def level(kind: str) -> str:
        return mean(f"libvirt_pool_info_{kind}_bytes")

    promised_to = "promised to this pool's volumes" if _shares(pool) else "promised to volumes"
    return [
        Chart(
            "space",
            "Space",
            "bytes",
            (
                Line("taken", f"({level('capacity')} - {level('available')})", "--disk"),
                *([Line("taken by this pool", level("allocation"), "--mem")] if _shares(pool) else []),
                Line(promised_to, mean("vmdash_pool_promised_bytes"), "--accent", is_mark=True),
                Line("there is", level("capacity"), "--faint", is_mark=True),
            ),
            note="by all that is on the same storage",
            top=pool.capacity_bytes or None,
        ),
    ]


def _shares(pool: Pool) -> bool:
    """Whether libvirt knows what this pool alone takes, as of a pool of a Ceph cluster. Of most types it does not."""
    return pool.allocation_bytes != pool.capacity_bytes - pool.available_bytes


def pool_events(pool: Pool, user: User, window: Window) -> list[Event]:
    """Jobs on it, what changed by itself, and the connection to its host, without which nothing is known of it; in the
    order of time, the newest `MOST_EVENTS`."""
    about = Job.objects.visible_to(user).filter(target_kind="pool", target_id=str(pool.pk))
    changing = job_events(about.filter(kind__in=_CHANGES_STATE), user, window)
    others = job_events(about.exclude(kind__in=_CHANGES_STATE), user, window)
    found = [
        *changing,
        *others,
        *by_themselves(_states(pool, user, window), changing),
        *connections([pool.host], window),
    ]
    return sorted(found, key=lambda event: event.at)[-MOST_EVENTS:]


def _states(pool: Pool, user: User, window: Window) -> list[Event]:
    changes = PoolEvent.objects.visible_to(user).filter(host=pool.host_id, uuid=pool.uuid)
    changes = changes.filter(at__gte=window.start, at__lte=window.end)
    return [_event(change) for change in changes.order_by("-at")[:MOST_EVENTS]]


def _event(change: PoolEvent) -> Event:
    what = change.kind if change.kind == PoolEvent.Kind.GONE else change.state
    return Event(change.at, f"{change.name} {_words_of(change)}", _TONES.get(what, ""))


def _words_of(change: PoolEvent) -> str:
    """What changed, after the pool's name."""
    if change.kind == PoolEvent.Kind.SEEN:
        return f"seen: {Pool.State(change.state).label}"
    gone = change.kind == PoolEvent.Kind.GONE
    what = "is not there any more" if gone else STATE_WORDS[Pool.State(change.state)]
    return what if change.witnessed else f"{what}, at this time at the latest"
