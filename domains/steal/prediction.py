"""Where a guest would lose less: what its vCPUs wanted lately, on paper beside what the guests of other hosts wanted.

A vCPU's demand is what it ran and what it waited to run, both recorded. At each moment of the last hour a host's demand
is that of its guests and its own work. What exceeds its CPUs is missing, and everybody misses it in proportion to what
they want. This knows nothing of caches, priorities, pinning or hyper-threads; the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domains.models import Domain
from hosts.models import Host
from vmdash.metrics.query import Series, last_hour_of

LEAST_POINTS = 20
"""Five minutes: with less nothing is predicted."""


@dataclass(frozen=True, slots=True)
class Demand:
    """In CPUs, at each moment of one time grid; None where nothing is known."""

    guest: Series
    hosts: Mapping[int, Series]
    """By host id; its guests' and its own."""


def demand(guest: Domain, hosts: Sequence[Host]) -> Demand:
    """Of the last hour. Raises Unavailable: the history store does not answer."""
    asked = {"guest": _wanted(f'uuid="{guest.pk}"')}
    for host in hosts:
        only = f'host="{host.name}"'
        busy = f'sum(rate(libvirt_node_cpu_seconds_total{{{only},mode=~"user|system"}}[1m]))'
        waited = f"sum(rate(libvirt_domain_vcpu_delay_seconds_total{{{only}}}[1m]))"
        asked[f"host{host.pk}"] = f"({busy} + ({waited} or vector(0)))"
    found = last_hour_of(asked)
    return Demand(found["guest"], {host.pk: found[f"host{host.pk}"] for host in hosts})


def _wanted(only: str) -> str:
    ran = f"sum(rate(libvirt_domain_vcpu_time_seconds_total{{{only}}}[1m]))"
    return f"({ran} + sum(rate(libvirt_domain_vcpu_delay_seconds_total{{{only}}}[1m])))"


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
