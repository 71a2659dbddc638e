"""What processes use: CPU time and memory, as Linux counts them."""

from __future__ import annotations

import time
from pathlib import Path


class Meter:
    """CPU seconds that processes use from now on, with their threads. What ends meanwhile is left out."""

    def __init__(self, *pids: int) -> None:
        self._before = {pid: _cpu_s(pid) for pid in pids}

    def used_s(self) -> float:
        alive = [pid for pid in self._before if Path(f"/proc/{pid}").exists()]
        return sum(_cpu_s(pid) - self._before[pid] for pid in alive)


def _cpu_s(pid: int) -> float:
    """To the nanosecond; `/proc/PID/stat` counts hundredths. Source: clock_getcpuclockid(3), CPUCLOCK_SCHED."""
    return time.clock_gettime(~pid << 3 | 2)


def peak_mib(pid: int) -> float:
    """The most memory it has held so far (resident)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def descendants(pid: int) -> list[int]:
    """A process and those it started, and so on."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += map(int, (task / "children").read_text().split())
    return [pid, *(one for child in children for one in descendants(child))]


def yardstick_ms() -> float:
    """CPU time that a fixed piece of work takes now. It is longer where others use the machine's caches and cores, and
    tells how figures of several runs compare."""
    begun, found = time.thread_time(), {}
    for n in range(100_000):
        found[n % 5000] = str(n)
    return 1000 * (time.thread_time() - begun)
