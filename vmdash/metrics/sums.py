"""What is recorded of a host as a whole, of its NUMA cells and its pools.

The sums over a host's guests are there so that charts of hosts and of the fleet need not read every guest's counters.
Their names begin with `vmdash_host_`; those of pools are the usual exporters', but for what libvirt does not add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vmdash.metrics.lines import row
from vmdash.virt.node import CpuTimes, MemoryUse
from vmdash.virt.pool import PoolFacts
from vmdash.virt.stats import GuestStats


@dataclass(slots=True)
class HostSums:
    """Over the active guests of a host. Seconds are counters since we connected to it."""

    steal_s: float | None = None
    """vCPUs were ready to run but waited; None: nobody tells."""
    vcpu_s: float = 0.0
    """Time that passed for the vCPUs of which that is known."""
    guests: int = 0
    vcpus: int = 0
    read: int | None = None
    """This and the next are bytes per second."""
    written: int | None = None
    received: int | None = None
    sent: int | None = None
    swapped: int | None = None
    """In and out, inside the guests."""
    requests: float | None = None
    """To disks, per second."""
    request_s: float | None = None
    """How long those took, in seconds per second: by the number of them, the mean of one."""
    held_kib: int | None = None
    """What their processes hold of the host's memory."""
    given_kib: int | None = None
    """What their balloons leave them."""


def sum_lines(host: str, at_ms: int, sums: HostSums) -> str:
    values = {
        "guests": sums.guests,
        "vcpus": sums.vcpus,
        "steal_seconds_total": sums.steal_s,
        "vcpu_seconds_total": None if sums.steal_s is None else sums.vcpu_s,
        "block_read_bytes_per_second": sums.read,
        "block_write_bytes_per_second": sums.written,
        "network_receive_bytes_per_second": sums.received,
        "network_transmit_bytes_per_second": sums.sent,
        "swap_bytes_per_second": sums.swapped,
        "block_requests_per_second": sums.requests,
        "block_request_seconds_per_second": sums.request_s,
        "guest_memory_bytes": None if sums.held_kib is None else sums.held_kib * 1024,
        "guest_balloon_bytes": None if sums.given_kib is None else sums.given_kib * 1024,
    }
    return row("vmdash_host", {"host": host}, values, at_ms)


def cell_lines(host: str, at_ms: int, cells: Iterable[MemoryUse]) -> str:
    return "".join(
        row(
            "libvirt_node_cell",
            {"host": host, "cell": str(cell.number)},
            {"memory_total_bytes": cell.total_kib * 1024, "memory_free_bytes": cell.free_kib * 1024},
            at_ms,
        )
        for cell in cells
    )


def cell_cpu_lines(host: str, at_ms: int, cells: Iterable[CpuTimes]) -> str:
    """Of a host with several cells, whose CPUs are read one by one anyway."""
    return "".join(
        row(
            "libvirt_node_cell",
            {"host": host, "cell": str(cell.number), "mode": mode},
            {"cpu_seconds_total": getattr(cell, f"{mode}_ns") / 1e9},
            at_ms,
        )
        for cell in cells
        for mode in ("user", "system", "idle", "iowait")
    )


def placed_lines(host: str, at_ms: int, guest: GuestStats, cells: Mapping[int, int]) -> str:
    """How many of a guest's vCPUs were seen in each cell. vmdash's own."""
    labels = {"host": host, "domain": guest.name, "uuid": guest.uuid}
    return "".join(
        row("vmdash_domain", {**labels, "cell": str(cell)}, {"cell_vcpus": vcpus}, at_ms)
        for cell, vcpus in cells.items()
    )


def pool_lines(host: str, at_ms: int, pool: PoolFacts, promised_bytes: int | None) -> str:
    """None of a pool that is not active. `promised_bytes`: the capacity of its volumes, added up; None: not known."""
    if not pool.capacity_bytes:
        return ""
    values = {
        "capacity_bytes": pool.capacity_bytes,
        "allocation_bytes": pool.allocation_bytes,
        "available_bytes": pool.available_bytes,
    }
    labels = {"host": host, "pool": pool.name, "uuid": pool.uuid}
    promised = row("vmdash_pool", labels, {"promised_bytes": promised_bytes}, at_ms)
    return row("libvirt_pool_info", labels, values, at_ms) + promised
