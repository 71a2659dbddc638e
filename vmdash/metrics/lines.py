"""Raw counters as lines for the history store: libvirt's names, and beside them those of the usual libvirt exporters.

The labels are `host`, `domain` (the guest's name) and `uuid`; disks and network cards have `target_device`, vCPUs
`vcpu`. Units are seconds and bytes. Format: Prometheus text exposition, each line with its time in milliseconds.
Sources: virConnectGetAllDomainStats; the exporters' README files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.stats import GuestStats

WRITE_PATH = "/api/v1/import/prometheus"
"""Where the store takes these rows."""

_AS_IS, _NS, _KIB = 1, 1e-9, 1024

_Table = tuple[tuple[str, str, float], ...]
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


def guest_lines(host: str, at_ms: int, cpu: GuestStats, rest: GuestStats) -> list[str]:
    """Everything known of one guest: `cpu` from the fast tier of sampling, `rest` from the slow one."""
    labels = f'host="{escape(host)}",domain="{escape(cpu.name)}",uuid="{cpu.uuid}"'
    lines: list[str] = []
    _add(lines, cpu.raw, "", _CPU, labels, at_ms)
    for n in range(cpu.raw.get("vcpu.maximum", 0)):
        _add(lines, cpu.raw, f"vcpu.{n}.", _VCPU, f'{labels},vcpu="{n}"', at_ms)
    _add(lines, rest.raw, "", _BALLOON, labels, at_ms)
    for kind, table in (("block", _BLOCK), ("net", _NET)):
        for n in range(rest.raw.get(f"{kind}.count", 0)):
            device = f'{labels},target_device="{escape(rest.raw.get(f"{kind}.{n}.name", ""))}"'
            _add(lines, rest.raw, f"{kind}.{n}.", table, device, at_ms)
    return lines


def taken_lines(host: str, at_ms: int, guest: GuestStats, seconds: Mapping[str, float]) -> list[str]:
    """CPU time that a guest lost, by the UUID of who took it (`by_uuid`; empty: the host's own work). vmdash's own."""
    labels = f'host="{escape(host)}",domain="{escape(guest.name)}",uuid="{guest.uuid}"'
    name = "vmdash_domain_steal_taken_seconds_total"
    return [f'{name}{{{labels},by_uuid="{taker}"}} {value:.6g} {at_ms}' for taker, value in seconds.items()]


def node_lines(host: str, at_ms: int, cpu: CpuTimes | None, memory: MemoryUse | None) -> list[str]:
    """The machine itself."""
    labels = f'host="{escape(host)}"'
    lines = [f"libvirt_up{{{labels}}} 1 {at_ms}"]
    if cpu:
        for mode in ("user", "system", "idle", "iowait"):
            seconds = getattr(cpu, f"{mode}_ns") * _NS
            lines.append(f'libvirt_node_cpu_seconds_total{{{labels},mode="{mode}"}} {seconds:.12g} {at_ms}')
    if memory:
        for kind in ("total", "free", "buffers", "cached"):
            kib = getattr(memory, f"{kind}_kib")
            if kib is not None:
                lines.append(f"libvirt_node_memory_{kind}_bytes{{{labels}}} {kib * _KIB} {at_ms}")
    return lines


def _add(lines: list[str], raw: Mapping[str, Any], prefix: str, table: _Table, labels: str, at_ms: int) -> None:
    """A line for each counter of the table that libvirt told."""
    for key, name, unit in table:
        value = raw.get(prefix + key)
        if value is not None:
            lines.append(f"libvirt_domain_{name}{{{labels}}} {value if unit == 1 else value * unit:.12g} {at_ms}")


def escape(value: str) -> str:
    """A label's value, safe between double quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
