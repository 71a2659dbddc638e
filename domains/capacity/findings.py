"""Guests that have more than they need, none that they need, or too little; each with the figures that say so.

Judged by two weeks of history, never by a moment. The bounds are in docs/capacity.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from uuid import UUID

from vmdash import formats

HOURS = 14 * 24
LEAST_HOURS = 7 * 24
"""A guest that was measured for less is not judged."""

IDLE_MEAN_CPUS = 0.02
IDLE_BUSY_CPUS = 0.05
ROOMY = 0.5
"""Oversized: half of it or less would do."""
CPU_FILL = 0.7
"""As many vCPUs are proposed as keep the busiest five minutes below this."""
MEMORY_MARGIN = 1.25
LEAST_MEMORY_SAVED = 1024**3
_STEP = 256 * 1024**2
STARVED_STEAL = 0.10
STARVED_CPU = 0.90
STARVED_MEMORY = 0.95
STARVED_SWAP_BYTES = 100 * 1024


@dataclass(frozen=True, slots=True)
class Use:
    """A guest that runs and what it needed: CPUs, bytes. `hours` of two weeks are known."""

    key: str
    """Its UUID as the database writes it."""
    name: str
    host: str
    vcpus: int
    memory_kib: int
    hours: int
    cpu_mean: float
    cpu_busy: float
    cpu_peak: float
    steal_mean: float
    steal_busy: float
    memory_hours: int
    memory_peak_bytes: int | None
    swap_in_bytes_per_s: float | None

    @property
    def uuid(self) -> UUID:
        return UUID(self.key)


@dataclass(frozen=True, slots=True)
class Finding:
    """`weight` orders findings of a kind, the largest first. `vcpus` and `memory_kib` could be given to others."""

    use: Use
    kind: str
    """idle, oversized or starved."""
    evidence: str
    advice: str
    weight: float
    vcpus: int = 0
    memory_kib: int = 0


def judge(use: Use) -> list[Finding]:
    """Nothing when it is fine, or was not measured for long enough."""
    if use.hours < LEAST_HOURS or not use.vcpus:
        return []
    if use.cpu_mean < IDLE_MEAN_CPUS and use.cpu_busy < IDLE_BUSY_CPUS:
        return [_idle(use)]
    found = [_starved(use), _oversized(use)]
    return [finding for finding in found if finding]


def _idle(use: Use) -> Finding:
    evidence = (
        f"Over {_days(use.hours)} it used {_cpus(use.cpu_mean)} on average, {_cpus(use.cpu_busy)} or less in 95 % of "
        f"the hours, and {_cpus(use.cpu_peak)} in its busiest five minutes."
    )
    advice = f"If nobody misses it, shut it down: {use.vcpus} vCPU and {formats.kib(use.memory_kib)} become free."
    return Finding(use, "idle", evidence, advice, use.memory_kib, use.vcpus, use.memory_kib)


def _oversized(use: Use) -> Finding | None:
    evidence, advice, vcpus, memory_kib = [], [], 0, 0
    wanted = max(1, math.ceil(use.cpu_peak / CPU_FILL))
    waits = use.steal_busy >= STARVED_STEAL * use.vcpus  # then what it used is not what it wanted
    if wanted <= use.vcpus * ROOMY and not waits:
        vcpus = use.vcpus - wanted
        evidence.append(f"{_cpus(use.cpu_peak)} of {use.vcpus} vCPU in the busiest five minutes of {_days(use.hours)}")
        advice.append(f"{wanted} vCPU would do")
    if use.memory_peak_bytes is not None and use.memory_hours >= LEAST_HOURS:
        total = use.memory_kib * 1024
        enough = math.ceil(use.memory_peak_bytes * MEMORY_MARGIN / _STEP) * _STEP
        if enough <= total * ROOMY and total - enough >= LEAST_MEMORY_SAVED:
            memory_kib = (total - enough) // 1024
            peak, given = formats.size(use.memory_peak_bytes), formats.kib(use.memory_kib)
            evidence.append(f"never more than {peak} of {given} memory in {_days(use.memory_hours)}")
            advice.append(f"{formats.size(enough)} would do")
    if not evidence:
        return None
    words = "; ".join(evidence)
    return Finding(
        use,
        "oversized",
        f"It used {words}.",
        f"{' and '.join(advice)}.",
        memory_kib + vcpus * 1024**2,  # a vCPU weighs as much as a GiB
        vcpus,
        memory_kib,
    )


def _starved(use: Use) -> Finding | None:
    evidence, advice, weight = [], [], 0.0
    steal = use.steal_busy / use.vcpus
    if steal >= STARVED_STEAL:
        evidence.append(
            f"loses {formats.percent(100 * use.steal_mean / use.vcpus)} of its CPU time to others on average and "
            f"{formats.percent(100 * steal)} in its worst hours (1 of 20)"
        )
        advice.append("Move it to a host with less load.")
        weight = max(weight, steal / STARVED_STEAL)
    if use.cpu_busy >= STARVED_CPU * use.vcpus:
        evidence.append(f"used {_cpus(use.cpu_busy)} of {use.vcpus} vCPU in its busy hours (1 of 20)")
        advice.append("Give it more vCPUs.")
        weight = max(weight, use.cpu_busy / (STARVED_CPU * use.vcpus))
    peak = use.memory_peak_bytes
    if peak is not None and use.memory_hours >= LEAST_HOURS and use.memory_kib:
        share = peak / (use.memory_kib * 1024)
        swaps = use.swap_in_bytes_per_s or 0.0
        if swaps >= STARVED_SWAP_BYTES:
            evidence.append(f"reads {formats.per_second(swaps)} back from swap on average")
            weight = max(weight, swaps / STARVED_SWAP_BYTES)
        if share >= STARVED_MEMORY:
            evidence.append(f"had {formats.percent(100 * min(share, 1.0))} of its memory in use at its peak")
            weight = max(weight, share / STARVED_MEMORY)
        if swaps >= STARVED_SWAP_BYTES or share >= STARVED_MEMORY:
            advice.append("Give it more memory.")
    if not evidence:
        return None
    return Finding(use, "starved", f"It {'; '.join(evidence)}, over {_days(use.hours)}.", " ".join(advice), weight)


def _days(hours: int) -> str:
    """Hours in which it ran, as days."""
    return f"{min(hours, HOURS) / 24:.1f}".removesuffix(".0") + " days"


def _cpus(value: float) -> str:
    return f"{value:.2f} CPUs" if value < 1 else f"{value:.1f} CPUs"
