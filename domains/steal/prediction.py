"""Where a guest would lose less: what its vCPUs wanted lately, on paper beside what the guests of other hosts wanted.

A vCPU's demand is what it ran and what it waited to run, both recorded. At each moment of the last hour a host's demand
is that of its guests and its own work. What exceeds its CPUs is missing, and everybody misses it in proportion to what
they want. This knows nothing of caches, priorities, pinning or hyper-threads; the page says so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domains.models import Domain
from hosts.models import Host
from vmdash.metrics.query import TIMEOUT_S, Asked, Series, labels, read

HOUR_S = 3600
STEP_S = 60
"""As long as the means are that are taken: each reading counts once, and a thousand hosts come in one answer."""
LEAST_POINTS = 5
"""Five minutes: with less nothing is predicted."""


@dataclass(frozen=True, slots=True)
class Demand:
    """In CPUs, at each moment of one time grid; None where nothing is known."""

    guest: Series
    hosts: Mapping[int, Series]
    """By host id; its guests' and its own."""


def demand(guest: Domain, hosts: Sequence[Host]) -> Demand:
    """Of the last hour. One request, as long for a thousand hosts as for two: it asks for all that there are.

    Raises Unavailable: the history store does not answer, or not in time.
    """
    end = int(time.time()) // STEP_S * STEP_S
    grid = range(end - HOUR_S, end + 1, STEP_S)
    only = labels(uuid=str(guest.pk))
    ran = f"sum(rate(libvirt_domain_vcpu_time_seconds_total{only}[1m]))"
    waited = f"sum(rate(libvirt_domain_vcpu_delay_seconds_total{only}[1m]))"
    asked = {"guest": Asked(f"({ran} + {waited})"), "hosts": Asked(_of_hosts(), by="host")}
    found = read(asked, grid, timeout_s=TIMEOUT_S)
    unknown: Series = [None] * len(grid)
    return Demand(
        found.get(("guest", ""), unknown), {host.pk: found.get(("hosts", host.name), unknown) for host in hosts}
    )


def _of_hosts() -> str:
    """What the guests of a host waited is read from the sum that is recorded for it: a fleet has too many vCPUs."""
    busy = 'sum by (host) (rate(libvirt_node_cpu_seconds_total{mode=~"user|system"}[1m]))'
    waited = "sum by (host) (rate(vmdash_host_steal_seconds_total[1m]))"
    return f"({busy} + ({waited} or 0 * {busy}))"


def steal_there(guest: Series, others: Series, cpus: int, vcpus: int) -> float | None:
    """Predicted steal in percent of the guest's vCPUs' time, beside `others` on a host of so many CPUs; None when too
    little is known."""
    lost, points = 0.0, 0
    for own, rest in zip(guest, others, strict=True):
        if own is None or rest is None:
            continue
        points += 1
        total = own + rest
        if total > cpus:
            lost += (total - cpus) * own / total
    if points < LEAST_POINTS or not vcpus:
        return None
    return round(min(100.0, 100 * lost / points / vcpus), 1)
