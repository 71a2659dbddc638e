"""Raw counters as rows for the history store: libvirt's names, and beside them those of the usual libvirt exporters.

The labels are `host`, `domain` (the guest's name) and `uuid`; disks and network cards have `target_device`, vCPUs
`vcpu`. Units are seconds and bytes. Format: InfluxDB's line protocol, which says labels once for all counters that
share them (said again for each, they would be most of the work): `libvirt_domain,host=kvm1 info_virtual_cpus=2` arrives
as `libvirt_domain_info_virtual_cpus{host="kvm1"}`. Sources: virConnectGetAllDomainStats; the exporters' README files;
https://docs.victoriametrics.com, "How to send data from InfluxDB-compatible agents".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

WRITE_PATH = "/write?precision=ms"
"""Where the store takes these rows."""

_AS_IS, _NS, _KIB = "%s", "%se-9", "%d"
"""How a counter is written; those in KiB are multiplied first."""


class _Table:
    """Counters that share their labels: libvirt's key, the name of the series, the unit."""

    def __init__(self, *counters: tuple[str, str, str]) -> None:
        self._counters = counters
        self._keys: dict[str, list[str]] = {}
        self._scaled = [n for n, (_, _, unit) in enumerate(counters) if unit is _KIB]
        self._template = ",".join(f"{name}={unit}" for _, name, unit in counters)
        self._parts: dict[tuple[bool, ...], _Table] = {}

    def row(self, head: str, told: Mapping[str, Any], prefix: str, at_ms: int) -> str:
        """The counters that libvirt told; empty when it told none."""
        keys = self._keys.get(prefix)
        if keys is None:
            keys = self._keys[prefix] = [prefix + key for key, _, _ in self._counters]
        values: list[Any] = list(map(told.get, keys))
        if None in values:
            return self._part(values).row(head, told, prefix, at_ms) if any(map(_is_told, values)) else ""
        for n in self._scaled:
            values[n] *= 1024
        return f"{head} {self._template % tuple(values)} {at_ms}"

    def _part(self, values: Sequence[Any]) -> _Table:
        """The same without the counters that are missing."""
        present = tuple(map(_is_told, values))
        part = self._parts.get(present)
        if part is None:
            part = self._parts[present] = _Table(*compress(self._counters, present))
        return part


def _is_told(value: Any) -> bool:
    return value is not None


_CPU = _Table(
    ("cpu.time", "info_cpu_time_seconds_total", _NS),
    ("vcpu.current", "info_virtual_cpus", _AS_IS),
)
_VCPU = _Table(
    ("state", "vcpu_state", _AS_IS),
    ("time", "vcpu_time_seconds_total", _NS),
    ("delay", "vcpu_delay_seconds_total", _NS),
    ("wait", "vcpu_wait_seconds_total", _NS),
)
_BALLOON = _Table(
    ("balloon.maximum", "info_maximum_memory_bytes", _KIB),
    ("balloon.current", "info_memory_usage_bytes", _KIB),
    ("balloon.rss", "memory_stats_rss_bytes", _KIB),
    ("balloon.available", "memory_stats_available_bytes", _KIB),
    ("balloon.unused", "memory_stats_unused_bytes", _KIB),
    ("balloon.usable", "memory_stats_usable_bytes", _KIB),
    ("balloon.swap_in", "memory_stats_swap_in_bytes_total", _KIB),
    ("balloon.swap_out", "memory_stats_swap_out_bytes_total", _KIB),
    ("balloon.major_fault", "memory_stats_major_fault_total", _AS_IS),
)
_BLOCK = _Table(
    ("rd.bytes", "block_stats_read_bytes_total", _AS_IS),
    ("rd.reqs", "block_stats_read_requests_total", _AS_IS),
    ("rd.times", "block_stats_read_time_seconds_total", _NS),
    ("wr.bytes", "block_stats_write_bytes_total", _AS_IS),
    ("wr.reqs", "block_stats_write_requests_total", _AS_IS),
    ("wr.times", "block_stats_write_time_seconds_total", _NS),
    ("fl.reqs", "block_stats_flush_requests_total", _AS_IS),
    ("fl.times", "block_stats_flush_time_seconds_total", _NS),
    ("allocation", "block_stats_allocation", _AS_IS),
    ("capacity", "block_stats_capacity_bytes", _AS_IS),
    ("physical", "block_stats_physicalsize_bytes", _AS_IS),
)
_NET = _Table(
    ("rx.bytes", "interface_stats_receive_bytes_total", _AS_IS),
    ("rx.pkts", "interface_stats_receive_packets_total", _AS_IS),
    ("rx.errs", "interface_stats_receive_errors_total", _AS_IS),
    ("rx.drop", "interface_stats_receive_drops_total", _AS_IS),
    ("tx.bytes", "interface_stats_transmit_bytes_total", _AS_IS),
    ("tx.pkts", "interface_stats_transmit_packets_total", _AS_IS),
    ("tx.errs", "interface_stats_transmit_errors_total", _AS_IS),
    ("tx.drop", "interface_stats_transmit_drops_total", _AS_IS),
)


def guest_lines(host: str, at_ms: int, cpu: GuestStats, rest: GuestStats) -> list[str]:
    """Everything known of one guest: `cpu` from the fast tier of sampling, `rest` from the slow one."""
    head = f"libvirt_domain,host={escape(host)},domain={escape(cpu.name)},uuid={cpu.uuid}"
    told = cpu.raw
    rows = [_CPU.row(head, told, "", at_ms)]
    rows += [_VCPU.row(f"{head},vcpu={n}", told, f"vcpu.{n}.", at_ms) for n in range(told.get("vcpu.maximum", 0))]
    told = rest.raw
    rows.append(_BALLOON.row(head, told, "", at_ms))
    for kind, table in (("block", _BLOCK), ("net", _NET)):
        for n in range(told.get(f"{kind}.count", 0)):
            at = f"{kind}.{n}."
            device = escape(told.get(at + "name", ""))
            rows.append(table.row(f"{head},target_device={device}", told, at, at_ms))
    return [row for row in rows if row]


def taken_lines(host: str, at_ms: int, guest: GuestStats, seconds: Mapping[str, float]) -> list[str]:
    """CPU time that a guest lost, by the UUID of who took it (`by_uuid`; empty: the host's own work). vmdash's own."""
    return [
        row
        for taker, lost_s in seconds.items()
        for row in rows(
            "vmdash_domain_steal",
            {"host": host, "domain": guest.name, "uuid": guest.uuid, "by_uuid": taker},
            {"taken_seconds_total": lost_s},
            at_ms,
        )
    ]


def node_lines(host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None) -> list[str]:
    """The machine itself."""
    found = rows("libvirt", {"host": host}, {"up": 1}, at_ms)
    if cpu:
        for mode in ("user", "system", "idle", "iowait"):
            seconds = getattr(cpu, f"{mode}_ns") / 1e9
            found += rows("libvirt_node", {"host": host, "mode": mode}, {"cpu_seconds_total": seconds}, at_ms)
    if memory:
        kib = {kind: getattr(memory, f"{kind}_kib") for kind in ("total", "free", "buffers", "cached")}
        told = {f"memory_{kind}_bytes": None if value is None else value * 1024 for kind, value in kib.items()}
        found += rows("libvirt_node", {"host": host}, told, at_ms)
    return found


def rows(prefix: str, labels: Mapping[str, str], values: Mapping[str, float | None], at_ms: int) -> list[str]:
    """What is known of `values`, each as the series PREFIX_NAME with these labels: a row, or none."""
    told = "".join(f",{label}={escape(text)}" for label, text in labels.items() if text)
    known = ",".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return [f"{prefix}{told} {known} {at_ms}"] if known else []


_SPECIAL = re.compile(r"([\\, =])")


def escape(value: str) -> str:
    """A label's value. It cannot have line breaks; libvirt's names do not, either."""
    return value if value.isalnum() else _SPECIAL.sub(r"\\\1", value.replace("\n", " "))
