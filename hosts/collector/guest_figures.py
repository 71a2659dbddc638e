"""One guest's figures: what was read of it last in each tier, and what that makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vmdash.live.messages import GuestSample
from vmdash.virt import rates
from vmdash.virt.counters import Totals
from vmdash.virt.rates import CpuUse
from vmdash.virt.stats import GuestStats


class _Totals(NamedTuple):
    """What is read of the slow tier, over all disks and cards; the first twelve are counters, then comes memory in KiB.
    Nothing else of that tier is kept, since there is much in it."""

    rd: int | None = None
    wr: int | None = None
    rd_reqs: int | None = None
    wr_reqs: int | None = None
    rd_ns: int | None = None
    wr_ns: int | None = None
    rx: int | None = None
    tx: int | None = None
    rx_drop: int | None = None
    tx_drop: int | None = None
    swap_in: int | None = None
    swap_out: int | None = None
    rss: int | None = None
    available: int | None = None
    unused: int | None = None
    usable: int | None = None
    current: int | None = None


_UNKNOWN = _Totals()
_COUNTERS = 12
_read_totals = Totals(
    *("block.*.rd.bytes", "block.*.wr.bytes", "block.*.rd.reqs", "block.*.wr.reqs"),
    *("block.*.rd.times", "block.*.wr.times", "net.*.rx.bytes", "net.*.tx.bytes", "net.*.rx.drop", "net.*.tx.drop"),
    *("balloon.swap_in", "balloon.swap_out"),
    *("balloon.rss", "balloon.available", "balloon.unused", "balloon.usable", "balloon.current"),
)


@dataclass(slots=True)
class GuestFigures:
    """One guest: what was read last in each tier, with its time (monotonic), and the figures made of it."""

    name: str
    sample: GuestSample
    fast: GuestStats | None = None
    fast_at: float = 0
    before: GuestStats | None = None
    """What `fast` was when it was last found out who takes what guests lose, or else the round before."""
    slow: _Totals = _UNKNOWN
    slow_at: float = 0
    use: CpuUse | None = None
    places: dict[str, int | None] | None = None
    placed_at: float = 0
    """When that was recorded last (monotonic)."""
    vcpus: int = 0

    @property
    def steal_cores(self) -> float | None:
        return self.use.steal_cores if self.use else None


def unknown() -> GuestSample:
    return {
        "cpu": None,
        "steal": None,
        "steal_max": None,
        "mem": None,
        "rss": None,
        "rd": None,
        "wr": None,
        "rx": None,
        "tx": None,
        "swap": None,
        "ops": None,
        "lat": None,
        "drop": None,
        "slow_at": None,
    }


def update_cpu(guest: GuestFigures, after: GuestStats, now: float) -> None:
    before, elapsed_s = guest.fast, now - guest.fast_at
    guest.fast, guest.fast_at = after, now
    guest.vcpus, guest.name = after.vcpu_count, after.name
    use = guest.use = rates.cpu_use(before, after, elapsed_s) if before else None
    sample = guest.sample
    if use is None:
        sample["cpu"] = sample["steal"] = sample["steal_max"] = None
        return
    sample["cpu"] = percent(use.cores_used / guest.vcpus) if guest.vcpus else None
    sample["steal"] = percent(use.steal_mean)
    sample["steal_max"] = percent(use.steal_worst)


def update_rest(guest: GuestFigures, after: GuestStats, now: float, at_ms: int) -> None:
    totals = _Totals._make(after.raw.read(_read_totals))
    rd, wr, rd_reqs, wr_reqs, rd_ns, wr_ns, rx, tx, rx_drop, tx_drop, swap_in, swap_out = rates.rates_of(
        guest.slow[:_COUNTERS], totals[:_COUNTERS], now - guest.slow_at
    )
    guest.slow, guest.slow_at = totals, now
    requests, busy_ns = _sum_of(rd_reqs, wr_reqs), _sum_of(rd_ns, wr_ns)
    swap, drops = _sum_of(swap_in, swap_out), _sum_of(rx_drop, tx_drop)
    guest.sample |= {
        "mem": _used_kib(totals),
        "rss": totals.rss,
        "rd": _rounded(rd),
        "wr": _rounded(wr),
        "rx": _rounded(rx),
        "tx": _rounded(tx),
        "swap": None if swap is None else round(swap * 1024),
        "ops": None if requests is None else round(requests, 1),
        "lat": round(busy_ns / requests / 1e6, 1) if requests and busy_ns is not None else None,
        "drop": None if drops is None else round(drops, 1),
        "slow_at": at_ms,
    }


def _sum_of(one: float | None, other: float | None) -> float | None:
    """None when neither is known."""
    return other if one is None else one if other is None else one + other


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 1)


def _used_kib(memory: _Totals) -> int | None:
    """What the guest itself uses, without what it could free at once; unknown without a balloon driver in the guest."""
    if memory.available is None:
        return None
    free_kib = memory.unused if memory.usable is None else memory.usable
    return None if free_kib is None else memory.available - free_kib
