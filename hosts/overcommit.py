"""How much more a host has given to its active guests than it has, and what that means. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from vmdash import formats


def ratio(given: int, there: int) -> float | None:
    """None where nobody knows how much there is."""
    return given / there if there else None


@dataclass(frozen=True, slots=True)
class Given:
    """Current vCPUs and the largest memory of all active guests, against what the host has."""

    vcpus: int
    cpus: int
    memory_kib: int
    total_kib: int

    @property
    def cpu_ratio(self) -> float | None:
        return ratio(self.vcpus, self.cpus)

    @property
    def memory_ratio(self) -> float | None:
        return ratio(self.memory_kib, self.total_kib)

    @property
    def cpu_words(self) -> str:
        found = self.cpu_ratio
        if found is None:
            return ""
        if found <= 1:
            return "A CPU for each vCPU: none has to wait for another."
        share = formats.percent(100 / found)
        return f"When all vCPUs want time at once, each gets {share} of a CPU; what they miss is steal."

    @property
    def memory_words(self) -> str:
        found = self.memory_ratio
        if found is None:
            return ""
        if found <= 1:
            return "All guests fit, even when each uses all that it may."
        missing = formats.kib(self.memory_kib - self.total_kib)
        return f"If each guest used all that it may, {missing} would be missing: the host would swap, or end guests."
