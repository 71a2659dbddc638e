"""Raw counters as rows for the history store: libvirt's names, and beside them those of the usual libvirt exporters.

The labels are `host`, `domain` (the guest's name) and `uuid`; disks and network cards have `target_device`, vCPUs
`vcpu`. Units are seconds and bytes. Format: InfluxDB's line protocol, which says labels once for all counters that
share them (said again for each, they would be most of the work): `libvirt_domain,host=kvm1 info_virtual_cpus=2` arrives
as `libvirt_domain_info_virtual_cpus{host="kvm1"}`. Sources: virConnectGetAllDomainStats; the exporters' README files;
https://docs.victoriametrics.com, "How to send data from InfluxDB-compatible agents".
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

from vmdash.virt.counters import Counters, Layout, picker
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

WRITE_PATH = "/write?precision=ms"
"""Where the store takes these rows."""

_AS_IS, _NS, _KIB = "%s", "%se-9", "%d"
"""How a counter is written; those in KiB are multiplied first."""
_Table = tuple[tuple[str, str, str], ...]
"""Counters that share their labels: libvirt's name, that of the series, the unit."""

_CPU: _Table = (
    ("cpu.time", "info_cpu_time_seconds_total", _NS),
    ("vcpu.current", "info_virtual_cpus", _AS_IS),
)
_VCPU: _Table = (
    ("state", "vcpu_state", _AS_IS),
    ("time", "vcpu_time_seconds_total", _NS),
    ("delay", "vcpu_delay_seconds_total", _NS),
    ("wait", "vcpu_wait_seconds_total", _NS),
)
_BALLOON: _Table = (
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
_BLOCK: _Table = (
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
_NET: _Table = (
    ("rx.bytes", "interface_stats_receive_bytes_total", _AS_IS),
    ("rx.pkts", "interface_stats_receive_packets_total", _AS_IS),
    ("rx.errs", "interface_stats_receive_errors_total", _AS_IS),
    ("rx.drop", "interface_stats_receive_drops_total", _AS_IS),
    ("tx.bytes", "interface_stats_transmit_bytes_total", _AS_IS),
    ("tx.pkts", "interface_stats_transmit_packets_total", _AS_IS),
    ("tx.errs", "interface_stats_transmit_errors_total", _AS_IS),
    ("tx.drop", "interface_stats_transmit_drops_total", _AS_IS),
)
_STEADY = frozenset(("state", "balloon.maximum", "allocation", "capacity", "physical"))
"""States and sizes: a sixth of all, that stay as they are or grow slowly. Once a minute is enough for them."""

_MOST_HEADS = 100_000
"""Guests whose labels are remembered."""


Reading = tuple[int, GuestStats]
"""Counters with the time at which they were read, in Unix milliseconds."""


def guest_lines(host: str, readings: Sequence[Reading], *, steady: bool = True) -> str:
    """What was read of one guest: its two tiers of sampling, or one reading of both. Without `steady`, those counters
    that are enough once a minute are left out.
    """
    _, guest = readings[0]
    head = _head(host, guest.name, guest.uuid)
    make = _all_rows if steady else _changing_rows
    return "".join([one.raw.layout.of(make).text(head, at_ms, one.raw) for at_ms, one in readings])


@lru_cache(maxsize=_MOST_HEADS)
def _head(host: str, name: str, uuid: str) -> str:
    return f"libvirt_domain,host={escape(host)},domain={escape(name)},uuid={uuid}"


class _Rows:
    """The rows of a guest whose counters have this layout, as one template for all its values."""

    def __init__(self, layout: Layout, without: Container[str] = ()) -> None:
        self._layout = layout
        self._without = without
        self._template = ""
        self._places: list[int] = []
        """What goes into the template, by its place among: the head, the time, the values."""
        self._kib: list[int] = []
        self._devices: list[tuple[int, int]] = []
        """Where the names of disks and cards are, there and among the strings."""
        self._add(_CPU)
        for n in layout.numbers("vcpu"):
            self._add(_VCPU, f"vcpu.{n}.", f",vcpu={n}")
        self._add(_BALLOON)
        for kind, table in (("block", _BLOCK), ("net", _NET)):
            for n in layout.numbers(kind):
                self._add(table, f"{kind}.{n}.", device=layout.index.get(f"{kind}.{n}.name"))
        self._pick = picker(self._places)

    def text(self, head: str, at_ms: int, told: Counters) -> str:
        pool: list[Any] = [head, at_ms, *told.words]
        for n in self._kib:
            pool[n] *= 1024
        for n, string in self._devices:
            pool[n] = escape(told.strings.get(string, ""))
        return self._template % self._pick(pool)

    def _add(self, table: _Table, prefix: str = "", labels: str = "", device: int | None = None) -> None:
        """A row of those counters that are told, if any. `device`: where its name is."""
        index = self._layout.index
        told = [
            (index[prefix + key], name, unit)
            for key, name, unit in table
            if prefix + key in index and key not in self._without
        ]
        if not told:
            return
        values = ",".join(f"{name}={unit}" for _, name, unit in told)
        if device is not None:
            labels += ",target_device=%s"
        self._template += f"%s{labels} {values} %s\n"
        self._places.append(0)
        if device is not None:
            self._devices.append((device + 2, device))
            self._places.append(device + 2)
        self._places += [n + 2 for n, _, _ in told]
        self._places.append(1)
        self._kib += [n + 2 for n, _, unit in told if unit is _KIB]


def _all_rows(layout: Layout) -> _Rows:
    return _Rows(layout)


def _changing_rows(layout: Layout) -> _Rows:
    return _Rows(layout, without=_STEADY)


def taken_lines(host: str, at_ms: int, guest: GuestStats, seconds: Mapping[str, float]) -> str:
    """CPU time that a guest lost, by the UUID of who took it (`by_uuid`; empty: the host's own work). vmdash's own."""
    labels = {"host": host, "domain": guest.name, "uuid": guest.uuid}
    return "".join(
        row("vmdash_domain_steal", {**labels, "by_uuid": taker}, {"taken_seconds_total": lost_s}, at_ms)
        for taker, lost_s in seconds.items()
    )


def node_lines(
    host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None, *, cpu_at_ms: int | None = None
) -> str:
    """The machine itself; `cpu` was read at `cpu_at_ms` (None: at the same time)."""
    found = [row("libvirt", {"host": host}, {"up": 1}, at_ms)]
    if cpu:
        read_ms = at_ms if cpu_at_ms is None else cpu_at_ms
        for mode in ("user", "system", "idle", "iowait"):
            seconds = getattr(cpu, f"{mode}_ns") / 1e9
            found.append(row("libvirt_node", {"host": host, "mode": mode}, {"cpu_seconds_total": seconds}, read_ms))
    if memory:
        kib = {kind: getattr(memory, f"{kind}_kib") for kind in ("total", "free", "buffers", "cached")}
        told = {f"memory_{kind}_bytes": None if value is None else value * 1024 for kind, value in kib.items()}
        found.append(row("libvirt_node", {"host": host}, told, at_ms))
    return "".join(found)


def row(prefix: str, labels: Mapping[str, str], values: Mapping[str, float | None], at_ms: int) -> str:
    """What is known of `values`, each as the series PREFIX_NAME with these labels; empty when nothing is."""
    told = "".join(f",{label}={escape(text)}" for label, text in labels.items() if text)
    known = ",".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return f"{prefix}{told} {known} {at_ms}\n" if known else ""


_MOST_VALUES = 20_000
"""Names of hosts, disks and cards are few, and come again each time; what else is escaped does so seldom."""
_is_plain = re.compile(r"[\w.:-]*").fullmatch
_SPECIAL = re.compile(r"([\\, =])")


@lru_cache(maxsize=_MOST_VALUES)
def escape(value: str) -> str:
    """A label's value. It cannot have line breaks; libvirt's names do not, either."""
    return value if _is_plain(value) else _SPECIAL.sub(r"\\\1", value.replace("\n", " "))
