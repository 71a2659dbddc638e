"""Hosts as they were at a moment that is remembered: their connection, and their figures out of the history store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery

from hosts.models import Host, HostEvent
from vmdash.metrics.query import labelled_at, values_at
from vmdash.metrics.ranges import some_readings_s


@dataclass(slots=True)
class FiguresThen:
    """Of one host, over the last minute or two before a moment; percent. None: not recorded."""

    cpu: float | None = None
    steal: float | None = None
    memory: float | None = None
    vcpus: float | None = None
    """Of active guests."""


def connections_then(hosts: Sequence[Host], at: datetime) -> dict[int, HostEvent]:
    """The last change of each host's connection until a moment, by the host's id. One query."""
    newest = HostEvent.objects.filter(host=OuterRef("pk"), at__lte=at).order_by("-at", "-id").values("pk")[:1]
    about = Host.objects.filter(pk__in=[host.pk for host in hosts]).order_by()
    events = HostEvent.objects.filter(pk__in=about.annotate(event=Subquery(newest)).values("event"))
    return {event.host_id: event for event in events}


def figures_then(at_s: int) -> dict[str, FiguresThen]:
    """By the host's name; those of which nothing was recorded are missing. One request to the history store.

    Raises:
        Unavailable: the store does not answer.
    """

    def growth(metric: str) -> str:
        return f"sum by (host) (rate({metric}[{some_readings_s()}s]))"

    cpu = "libvirt_node_cpu_seconds_total"
    total = _level("libvirt_node_memory_total_bytes")
    spare = " - ".join(f"({_level(f'libvirt_node_memory_{kind}_bytes')} or 0 * {total})" for kind in _SPARE)
    lost, passed = growth("vmdash_host_steal_seconds_total"), growth("vmdash_host_vcpu_seconds_total")
    asked = {
        "up": _level(_UP),
        "cpu": f"""(100 * {growth(cpu + '{mode=~"user|system"}')} / {growth(cpu)})""",
        "steal": f"(100 * {lost} / {passed})",
        "memory": f"(100 * ({total} - {_level('libvirt_node_memory_free_bytes')} - {spare}) / {total})",
        "vcpus": _level("vmdash_host_vcpus"),
    }
    found: dict[str, FiguresThen] = {}
    for name, labels, value in labelled_at(asked, at_s):
        figures = found.setdefault(labels.get("host", ""), FiguresThen())
        if name != "up":
            setattr(figures, name, value)
    return found


def recorded_then(at_s: int) -> set[str]:
    """The names of the hosts that `figures_then` has something of. One request to the history store.

    Raises:
        Unavailable: the store does not answer.
    """
    return set(values_at(_level(_UP), at_s, "host"))


def was_away(connection: HostEvent | None) -> bool:
    """It is recorded that the host was not connected."""
    return connection is not None and connection.state != Host.State.UP


def answered_then(connection: HostEvent | None, recorded: bool | None) -> bool | None:
    """Whether a host was heard of at a moment. `recorded`: whether there are figures of it, or None where the history
    store does not tell. None: that is not known."""
    return False if was_away(connection) else recorded


def first_event_at() -> datetime | None:
    return HostEvent.objects.order_by("at").values_list("at", flat=True).first()


def _level(metric: str) -> str:
    return f"sum by (host) (last_over_time({metric}[{some_readings_s()}s]))"


_UP = "libvirt_up"
_SPARE = ("buffers", "cached")
