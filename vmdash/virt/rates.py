"""Rates out of two readings of counters. Pure functions.

A counter that went down has begun anew (the guest was restarted or migrated): there is no rate then, and never a
negative one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import itemgetter, sub
from typing import TYPE_CHECKING, NamedTuple

from vmdash.virt.counters import Totals

if TYPE_CHECKING:  # only the shapes: this module must load without libvirt
    from vmdash.virt.counters import Layout
    from vmdash.virt.stats import GuestStats

_NS = 1_000_000_000


class VcpuRates(NamedTuple):
    """Fractions of the interval, 0 to 1.

    ``steal``: it could have run but had no CPU; None where the host does not tell.
    """

    number: int
    used: float | None
    steal: float | None


class CpuUse(NamedTuple):
    """``cores_used`` in CPUs (2.0: two of the host's CPUs busy for it); ``steal_…`` as fractions of one vCPU's time.

    ``steal_cores`` is the sum over the vCPUs, in CPUs. Steal is None where no vCPU tells it.
    """

    cores_used: float
    steal_mean: float | None
    steal_worst: float | None
    steal_cores: float | None


class CpuRates(NamedTuple):
    """The same, and each vCPU."""

    cores_used: float
    steal_mean: float | None
    steal_worst: float | None
    steal_cores: float | None
    vcpus: tuple[VcpuRates, ...]


def rate(before: float | None, after: float | None, elapsed_s: float) -> float | None:
    """Counts per second; None without both readings, without time between them, or when the counter began anew."""
    if before is None or after is None or after < before or elapsed_s <= 0:
        return None
    return (after - before) / elapsed_s


def rates_of(before: Sequence[int | None], after: Sequence[int | None], elapsed_s: float) -> Sequence[float | None]:
    """The same of several counters: nearly always all are told, and none went down."""
    try:
        grown = [*map(sub, after, before)]
    except TypeError:  # one is None
        grown = []
    if not grown or min(grown) < 0 or elapsed_s <= 0:
        return [*map(rate, before, after, repeat(elapsed_s))]
    return [count / elapsed_s for count in grown]


def _share(before_ns: int | None, after_ns: int | None, elapsed_ns: float) -> float | None:
    """The share of the interval a clock ran, at most 1: the two clocks are read at slightly different moments."""
    if before_ns is None or after_ns is None or after_ns < before_ns:
        return None
    return min((after_ns - before_ns) / elapsed_ns, 1.0)


def cpu_use(before: GuestStats, after: GuestStats, elapsed_s: float) -> CpuUse | None:
    """CPU use and steal of a guest between two readings; None when it began anew. For every guest in every round:
    nearly always both readings have the same counters, none of which went down."""
    read = after.raw.layout.of(_time_and_delays)
    if read and before.raw.layout is after.raw.layout and elapsed_s > 0:
        used, *lost = map(sub, read(after.raw.words), read(before.raw.words))
        worst, elapsed_ns = max(lost), elapsed_s * _NS
        if used >= 0 and min(lost) >= 0 and worst <= elapsed_ns:
            total = sum(lost) / elapsed_ns
            return CpuUse(used / elapsed_ns, total / len(lost), worst / elapsed_ns, total)
    full = cpu(before, after, elapsed_s)
    return CpuUse._make(full[:4]) if full else None


def _time_and_delays(layout: Layout) -> Callable[[array[int]], tuple[int, ...]] | None:
    """Reads the guest's CPU time, and of each vCPU how long it waited; None when not all of it is told."""
    names = ["cpu.time", *(f"vcpu.{n}.delay" for n in layout.numbers("vcpu"))]
    places = [layout.index[name] for name in names if name in layout.index]
    return itemgetter(*places) if len(places) == len(names) > 1 else None


def cpu(before: GuestStats, after: GuestStats, elapsed_s: float) -> CpuRates | None:
    """CPU use and steal of a guest between two readings; None when it began anew."""
    used = rate(before.cpu_time_ns, after.cpu_time_ns, elapsed_s)
    if used is None:
        return None
    then, now, elapsed_ns = before.raw.read(_vcpu_times), after.raw.read(_vcpu_times), elapsed_s * _NS
    vcpus, steals = [], []
    for number, (time_ns, delay_ns) in now.items():
        if earlier := then.get(number):
            steal = _share(earlier[1], delay_ns, elapsed_ns)
            vcpus.append(VcpuRates(number, _share(earlier[0], time_ns, elapsed_ns), steal))
            if steal is not None:
                steals.append(steal)
    if not steals:
        return CpuRates(used / _NS, None, None, None, tuple(vcpus))
    total = sum(steals)
    return CpuRates(used / _NS, total / len(steals), max(steals), total, tuple(vcpus))


def _vcpu_times(layout: Layout) -> Callable[[array[int]], dict[int, tuple[int | None, int | None]]]:
    """Reads of each vCPU how long it ran, and how long it waited for a CPU."""
    numbers = [n for n in layout.numbers("vcpu") if f"vcpu.{n}.state" in layout.index]
    totals = Totals(*(f"vcpu.{n}.{kind}" for n in numbers for kind in ("time", "delay")))(layout)

    def read(words: array[int]) -> dict[int, tuple[int | None, int | None]]:
        times = totals(words)
        return dict(zip(numbers, zip(times[::2], times[1::2], strict=True), strict=True))

    return read
