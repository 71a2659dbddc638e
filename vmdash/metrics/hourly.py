"""Hourly figures, recorded beside the raw counters, so that weeks can be read without reading every counter of them.

Named as recording rules are: `level:figure:operation`. Each value stands in the last millisecond of its hour. CPUs and
bytes. Source: https://prometheus.io/docs/practices/rules/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vmdash.metrics.exposition import line, store
from vmdash.metrics.query import values_at

HOUR_S = 3600
TIMEOUT_S = 60


def _both(counter: str) -> str:
    """A rate of all vCPUs. A guest that moved has counters of two hosts, each for a part of the hour."""
    return f"max by (uuid) (sum by (uuid, host) (rate({counter}[1h])))"


def _memory(kind: str) -> str:
    return f"sum by (host) (avg_over_time(libvirt_node_memory_{kind}_bytes[1h]))"


_BUSIEST = "max_over_time(sum by (uuid, host) (rate(libvirt_domain_vcpu_time_seconds_total[5m]))[1h:5m])"
_TAKEN = (
    "max_over_time(libvirt_domain_memory_stats_available_bytes[1h])"
    " - min_over_time(libvirt_domain_memory_stats_usable_bytes[1h])"
)

RULES: Mapping[str, tuple[str, str]] = {
    "host:cpu_used:rate1h": ("host", 'sum by (host) (rate(libvirt_node_cpu_seconds_total{mode=~"user|system"}[1h]))'),
    "host:memory_used_bytes:avg1h": (
        "host",
        f"{_memory('total')} - {_memory('free')}"
        f" - ({_memory('buffers')} or 0 * {_memory('total')}) - ({_memory('cached')} or 0 * {_memory('total')})",
    ),
    "host:guest_cpu_used:rate1h": ("host", "sum by (host) (rate(libvirt_domain_vcpu_time_seconds_total[1h]))"),
    "host:guest_steal:rate1h": ("host", "sum by (host) (rate(libvirt_domain_vcpu_delay_seconds_total[1h]))"),
    # Of its guests; their own series would be many, and one that has just moved has some of both hosts.
    "host:vcpus:last": ("host", "last_over_time(vmdash_host_vcpus[5m])"),
    # Every CPU spends a second in each second, in one mode or another.
    "host:cpus:rate1h": ("host", "sum by (host) (rate(libvirt_node_cpu_seconds_total[1h]))"),
    "guest:cpu_used:rate1h": ("uuid", _both("libvirt_domain_vcpu_time_seconds_total")),
    "guest:cpu_used:max5m": ("uuid", f"max by (uuid) ({_BUSIEST})"),
    "guest:steal:rate1h": ("uuid", _both("libvirt_domain_vcpu_delay_seconds_total")),
    "guest:memory_used_bytes:max1h": ("uuid", f"max by (uuid) ({_TAKEN})"),
    "guest:swap_in_bytes:rate1h": ("uuid", "max by (uuid) (rate(libvirt_domain_memory_stats_swap_in_bytes_total[1h]))"),
}
"""The label that tells series apart, and where the figure comes from."""


def stamp_ms(end_s: int) -> int:
    """When what is recorded of the hour that ended at `end_s` (Unix seconds) stands, in Unix milliseconds.

    Not at the end itself: at midnight that is the next day, whose index VictoriaMetrics does not read for a question
    about midnight (https://github.com/VictoriaMetrics/VictoriaMetrics/issues/9804).
    """
    return end_s * 1000 - 1


def record_hour(end_s: int, more: Iterable[str] = ()) -> int:
    """Work out the hour that ended at `end_s` (Unix seconds) and store it, with `more` lines. Returns how many values.

    Raises:
        Unavailable: the store does not answer.
    """
    known = values_at("count(last_over_time(libvirt_up[1h]))", end_s, "", timeout_s=TIMEOUT_S)
    lines = [
        line(name, {label: key}, value, stamp_ms(end_s))
        for name, (label, expression) in (RULES.items() if known else ())
        for key, value in values_at(expression, end_s, label, timeout_s=TIMEOUT_S).items()
        if key
    ]
    lines += more
    if lines:
        store(lines, timeout_s=TIMEOUT_S)
    return len(lines)
