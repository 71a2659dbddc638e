"""A simulated NUMA topology: the files from which libnuma and libvirt learn it, saying two cells."""

from __future__ import annotations

import os
from pathlib import Path

SYSFS = Path("/sys/devices/system/node")


def write_two_cells(folder: Path) -> None:
    """Write what `SYSFS` would hold on a machine with two cells: half of this machine's CPUs and memory in each."""
    cpus = list(range(os.cpu_count() or 1))
    half = (len(cpus) + 1) // 2
    for cell, members in enumerate((cpus[:half], cpus[half:])):
        node = folder / f"node{cell}"
        node.mkdir(parents=True, exist_ok=True)
        (node / "cpulist").write_text(f"{members[0]}-{members[-1]}\n" if members else "\n")
        (node / "cpumap").write_text(f"{mask(members)}\n")
        (node / "distance").write_text("10 20\n" if cell == 0 else "20 10\n")
        (node / "meminfo").write_text(_meminfo(cell))
    for name in ("online", "possible", "has_cpu", "has_memory", "has_normal_memory"):
        (folder / name).write_text("0-1\n")


def mask(cpus: list[int]) -> str:
    """A CPU set as sysfs writes it: hexadecimal words of 32 bits, the highest first."""
    bits = sum(1 << cpu for cpu in cpus)
    words = max(1, (bits.bit_length() + 31) // 32)
    return ",".join(f"{bits >> 32 * word & 0xFFFFFFFF:08x}" for word in reversed(range(words)))


def _meminfo(cell: int) -> str:
    amounts = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        amounts[name] = int(value.split()[0])
    total_kib, free_kib = amounts["MemTotal"] // 2, amounts["MemFree"] // 2
    return (
        f"Node {cell} MemTotal: {total_kib} kB\n"
        f"Node {cell} MemFree: {free_kib} kB\n"
        f"Node {cell} MemUsed: {total_kib - free_kib} kB\n"
    )
