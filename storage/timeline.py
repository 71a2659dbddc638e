"""The chart of a pool's page, and what happened to the pool and to its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hosts.timeline import connections
from storage.models import Pool
from vmdash.jobs.models import Job
from vmdash.jobs.timeline import job_events
from vmdash.metrics.charts import Chart, Event, Line
from vmdash.metrics.panel import MOST_EVENTS
from vmdash.metrics.query import labels
from vmdash.metrics.ranges import Window

if TYPE_CHECKING:
    from vmdash.access.models import User

_RARELY_S = 300
"""Pools are looked at about once a minute."""


def pool_charts(pool: Pool, window: Window) -> list[Chart]:
    only = labels(host=pool.host.name, uuid=str(pool.uuid))
    over = f"{max(window.step_s, _RARELY_S)}s"

    def level(kind: str) -> str:
        return f"max(avg_over_time(libvirt_pool_info_{kind}_bytes{only}[{over}]))"

    return [
        Chart(
            "space",
            "Space",
            "bytes",
            (
                Line("taken", f"({level('capacity')} - {level('available')})", "--disk"),
                *([Line("taken by this pool", level("allocation"), "--mem")] if _shares(pool) else []),
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
    """Jobs on it, and the connection to its host, without which nothing is known of it; in the order of time."""
    about = Job.objects.visible_to(user).filter(target_kind="pool", target_id=str(pool.pk))
    found = [*job_events(about, window), *connections([pool.host], window)]
    return sorted(found, key=lambda event: event.at)[-MOST_EVENTS:]
