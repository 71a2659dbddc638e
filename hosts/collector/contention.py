"""Who takes the CPU time that a host's guests lose: read while some lose any, and told over about a minute.

Where a vCPU runs is one call a guest, so it is asked only while it matters, and of those that run or wait. Everything
here runs on the thread of the lane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vmdash.live.messages import Blame
from vmdash.virt.contention import Loss, Ran, losses, own_work
from vmdash.virt.node import CpuTimes
from vmdash.virt.rates import CpuRates, CpuUse

LEAST_STEAL = 0.01
"""Below this fraction of a guest's time nobody is asked."""
LEAST_USE_CPUS = 0.02
"""Who neither uses nor waits for more than this takes nothing from anybody."""
HALF_LIFE_S = 20.0
_MOST_TAKERS = 8
_FORGOTTEN_S = 0.01

Places = Mapping[int, int | None]
"""The physical CPU of each vCPU, by its number; None where it is not told."""


@dataclass(slots=True)
class _Memory:
    """What one guest lost lately; older intervals count less. In CPU seconds."""

    vcpu_seconds: float = 0.0
    lost: float = 0.0
    sure: float = 0.0
    by: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def fade(self, factor: float) -> None:
        self.vcpu_seconds *= factor
        self.lost *= factor
        self.sure *= factor
        for taker in self.by:
            self.by[taker] *= factor


class Contention:
    """Fed once a round of the fast tier, or more seldom; lives as long as a connection."""

    def __init__(self) -> None:
        self._places: dict[str, Places] = {}
        self._before: dict[str, Places] = {}
        self._memory: dict[str, _Memory] = defaultdict(_Memory)
        self._own: dict[int, float] = {}
        self.taken: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        """CPU seconds since the connection was opened: by guest that lost them, and by who took them."""

    def asks_for(self, use: Mapping[str, CpuUse | CpuRates], *, of_held: float = 0) -> list[str]:
        """The guests whose places are wanted; none while nobody loses anything. `of_held`: something was lost before,
        in a time of which a round is this share, so those are wanted who would have been in one round."""
        if not of_held and not any((one.steal_mean or 0) >= LEAST_STEAL for one in use.values()):
            return []
        least = LEAST_USE_CPUS * (of_held or 1)
        return [uuid for uuid, one in use.items() if one.cores_used + (one.steal_cores or 0) >= least]

    @property
    def remembers(self) -> bool:
        """Whether somebody lost something lately."""
        return bool(self._memory)

    def place(self, uuid: str, places: Places) -> None:
        self._places[uuid] = places

    def waiting_cpus(self, rates: Mapping[str, CpuRates]) -> set[int]:
        """Where somebody waited: how busy these were is wanted, too."""
        return {ran.cpu for ran in self._ran(rates) if ran.cpu is not None and ran.waited > 0}

    def divide(self, rates: Mapping[str, CpuRates], busy: Mapping[int, float], elapsed_s: float) -> None:
        """What each guest lost in the last `elapsed_s`, and to whom. `busy` by physical CPU, 0 to 1, where that was
        read: what the host did besides is then taken to be the same until it is read again."""
        ran = [*self._ran(rates)]
        if busy:
            self._own = own_work(ran, busy)
        found = losses(ran, self._own)
        self._before, self._places = self._places, {}
        for uuid, one in rates.items():
            loss = found.get(uuid)
            if loss is None and uuid not in self._memory:
                continue
            memory = self._memory[uuid]
            memory.fade(0.5 ** (elapsed_s / HALF_LIFE_S))
            memory.vcpu_seconds += len(one.vcpus) * elapsed_s
            if loss is not None:
                self._remember(uuid, memory, loss, elapsed_s)
        forgotten = [one for one, memory in self._memory.items() if one not in rates or memory.lost < _FORGOTTEN_S]
        for uuid in forgotten:
            del self._memory[uuid]
        if not self._memory:
            self._own = {}
        for uuid in self.taken.keys() - rates.keys():
            del self.taken[uuid]

    def _remember(self, uuid: str, memory: _Memory, loss: Loss, elapsed_s: float) -> None:
        memory.lost += loss.lost * elapsed_s
        memory.sure += loss.sure * elapsed_s
        for taker, cpus in loss.by.items():
            memory.by[taker] += cpus * elapsed_s
            self.taken[uuid][taker] += cpus * elapsed_s

    def blames(self) -> dict[str, Blame]:
        """Guests that lost something lately, with who took most of it."""
        told: dict[str, Blame] = {}
        for uuid, memory in self._memory.items():
            if not memory.vcpu_seconds or memory.lost / memory.vcpu_seconds < LEAST_STEAL:
                continue
            most = sorted(memory.by.items(), key=lambda item: item[1], reverse=True)[:_MOST_TAKERS]
            told[uuid] = {
                "lost": _percent(memory.lost, memory.vcpu_seconds),
                "by": [
                    (taker, percent)
                    for taker, seconds in most
                    if (percent := _percent(seconds, memory.vcpu_seconds)) > 0
                ],
                "sure": round(min(1.0, memory.sure / memory.lost), 2),
            }
        return told

    def _ran(self, rates: Mapping[str, CpuRates]) -> Iterable[Ran]:
        for uuid, one in rates.items():
            places, before = self._places.get(uuid, {}), self._before.get(uuid, {})
            for vcpu in one.vcpus:
                cpu = places.get(vcpu.number)
                stayed = cpu is not None and before.get(vcpu.number) == cpu
                yield Ran(uuid, vcpu.used or 0.0, vcpu.steal or 0.0, cpu, stayed)


def busy_fractions(before: Mapping[int, CpuTimes], after: Mapping[int, CpuTimes]) -> dict[int, float]:
    """How much of the time between two readings each CPU worked, 0 to 1, where both are known."""
    found = {}
    for number, now in after.items():
        if (then := before.get(number)) is None:
            continue
        busy_ns = now.busy_ns - then.busy_ns
        total_ns = busy_ns + now.idle_ns - then.idle_ns + now.iowait_ns - then.iowait_ns
        if total_ns > 0 and busy_ns >= 0:
            found[number] = min(1.0, busy_ns / total_ns)
    return found


def _percent(seconds: float, vcpu_seconds: float) -> float:
    return round(100 * seconds / vcpu_seconds, 1)
