"""Who takes the CPU time that guests lose: an estimate out of where vCPUs ran, and how long each ran and waited.

libvirt tells how long a vCPU waited for a CPU, but not for whom. While one waits on a physical CPU, somebody else runs
there. So what a vCPU lost in an interval is divided among those who ran on the same physical CPU, by how long they ran.
The kernel moves threads, so this is only as sure as vCPUs stayed where they were; `Loss.sure` says how sure. Pure
functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HOST = ""
"""Stands for whatever the host does besides running vCPUs."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One vCPU in one interval. ``used`` and ``waited`` are fractions of it; ``cpu`` is where it was at its end, None
    when not told; ``stayed``: it was there at its beginning, too."""

    guest: str
    used: float
    waited: float
    cpu: int | None
    stayed: bool


@dataclass(slots=True)
class Loss:
    """What a guest lost in an interval, in CPUs (0.5: half of one CPU's time). ``by`` whom, the guest itself among them
    (its vCPUs wait for each other, too); what is in nobody's share is unknown. ``sure`` is the part of ``lost`` that
    happened on CPUs which the vCPU, and whoever it waited for, did not leave."""

    lost: float = 0.0
    by: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sure: float = 0.0


def own_work(ran: Iterable[Ran], busy: Mapping[int, float]) -> dict[int, float]:
    """How much of the interval each physical CPU worked for no vCPU, out of how much it worked at all; 0 to 1."""
    used: dict[int | None, float] = defaultdict(float)
    for one in ran:
        used[one.cpu] += one.used
    return {cpu: max(0.0, share - used[cpu]) for cpu, share in busy.items()}


def losses(ran: Iterable[Ran], own: Mapping[int, float]) -> dict[str, Loss]:
    """By guest, those that lost something. ``own``: the host's own work on each physical CPU, where that is known."""
    by_cpu: dict[int | None, list[Ran]] = defaultdict(list)
    for one in ran:
        by_cpu[one.cpu].append(one)
    found: dict[str, Loss] = defaultdict(Loss)
    for cpu, here in by_cpu.items():
        hosts_part = own.get(cpu, 0.0) if cpu is not None else 0.0
        for waiting in here:
            if waiting.waited <= 0:
                continue
            loss = found[waiting.guest]
            loss.lost += waiting.waited
            if cpu is not None:
                _divide(loss, waiting, [one for one in here if one is not waiting], hosts_part)
    return dict(found)


def _divide(loss: Loss, waiting: Ran, others: list[Ran], own: float) -> None:
    total = sum(one.used for one in others) + own
    if total <= 0:
        return
    for one in others:
        if one.used > 0:
            part = waiting.waited * (one.used / total)
            loss.by[one.guest] += part
            if one.stayed and waiting.stayed:
                loss.sure += part
    if own > 0:
        part = waiting.waited * (own / total)
        loss.by[HOST] += part
        if waiting.stayed:
            loss.sure += part
