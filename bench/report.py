"""What every benchmark says at its end: its figures, their bars, and the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `bar` is the promise in words ("median ≤ 20 ms"), and `holds` whether it was kept."""

    figure: str
    value: float
    unit: str
    bar: str
    holds: bool


def at_most(figure: str, value: float, unit: str, most: float, statistic: str) -> Figure:
    """A figure whose bar is a largest value, such as `median ≤ 20 ms`."""
    return Figure(figure, round(value, 2), unit, f"{statistic} ≤ {most:g} {unit}", value <= most)


def report(name: str, figures: Sequence[Figure]) -> bool:
    """Print the figures and write `bench/results/NAME.json`. Returns whether every bar holds."""
    where = machine()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(
        json.dumps(
            {"name": name, "machine": where, "figures": [asdict(figure) for figure in figures]},
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )
    print(f"\n{name}, on {where}\n")
    for figure in figures:
        verdict = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"  {figure.figure}\n    {figure.value:g} {figure.unit}   ({figure.bar}: {verdict})")
    return all(figure.holds for figure in figures)


def machine() -> str:
    """The machine in one line: CPUs, memory, system."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return (
        f"{os.cpu_count()} × {model[1] if model else platform.machine()}, {memory_gib:.0f} GiB, "
        f"{system}, Linux {platform.release()}, Python {platform.python_version()}"
    )
