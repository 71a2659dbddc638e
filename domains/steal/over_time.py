"""The charts of a guest's CPU part: what each of its vCPUs loses, and to whom; in which cells they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from domains.models import Domain
from domains.steal.takers import called, names_of
from domains.timeline.charts import MOST_VCPUS, Source
from vmdash.metrics.charts import Chart, Drawn, Line, in_own_colors
from vmdash.metrics.query import Series, labels
from vmdash.metrics.ranges import Window

if TYPE_CHECKING:
    from vmdash.access.models import User

_COLORS = ("--steal", "--cpu", "--mem", "--disk", "--net")
"""Of those who take the most, one each."""
_REST = "--faint"
_LOST = "vcpu_delay_seconds_total"


def cpu_charts(guest: Domain, user: User, window: Window) -> list[Chart]:
    source = Source(labels(uuid=str(guest.pk)), window)
    finest = Source(labels(uuid=str(guest.pk)), window.finest)
    return [
        Chart(
            "steal",
            "Steal",
            "percent",
            (
                Line("all vCPUs", _mean(source), "--steal", live="steal"),
                Line("the worst vCPU", _worst(source), "--warn", live="steal_max"),
            ),
            note="of the time of its vCPUs",
            spread=(Line("all vCPUs", _mean(finest), "--steal"), *_each(guest, finest)),
        ),
        Chart("takers", "Who takes it", "percent", _takers(guest, user, source), note="an estimate", stacked=True),
        *([_places(guest, source)] if len(guest.host.cells) > 1 else []),
    ]


def _places(guest: Domain, source: Source) -> Chart:
    """A guest that moved between hosts had the cells of both."""
    seen = source.seen("vmdash_domain_cell_vcpus", by="cell")
    return Chart(
        "places",
        "Where its vCPUs run",
        "number",
        (Line("", seen, "--cpu", by="cell", fold=in_own_colors("cell {}")),),
        note="by NUMA cell",
        stacked=True,
        top=guest.vcpus or None,
    )


def _mean(source: Source) -> str:
    return f"(100 * avg({source.rate_by('vcpu', _LOST)}))"


def _worst(source: Source) -> str:
    return f"(100 * max({source.rate_by('vcpu', _LOST)}))"


def _each(guest: Domain, source: Source) -> list[Line]:
    """Each vCPU, or the worst alone where they are many."""
    if guest.max_vcpus <= 1:
        return []
    if guest.max_vcpus > MOST_VCPUS:
        return [Line("the worst vCPU", _worst(source), "--warn")]
    return [Line("vCPU {}", f"(100 * {source.rate_by('vcpu', _LOST)})", "--steal", by="vcpu")]


def _takers(guest: Domain, user: User, source: Source) -> tuple[Line, ...]:
    vcpus = source.level("info_virtual_cpus")
    taken = f"(100 * {source.rate_of('vmdash_domain_steal_taken_seconds_total', by='by_uuid')} / scalar({vcpus}))"

    def named(series: Mapping[str, Series]) -> list[Drawn]:
        return _named(line, guest, user, series)

    line = Line("{}", taken, "--steal", by="by_uuid", fold=named)
    return (line,)


def _named(line: Line, guest: Domain, user: User, series: Mapping[str, Series]) -> list[Drawn]:
    """Those who took the most, with the names that `user` may know; the rest together."""
    names = names_of(user, series)
    by_words: dict[str, list[Series]] = {}
    for uuid, values in series.items():
        by_words.setdefault(called(guest, uuid, names)[0], []).append(values)
    summed = {words: _sum(several) for words, several in by_words.items()}
    ordered = sorted(summed, key=lambda words: -sum(value or 0 for value in summed[words]))
    found = [
        Drawn(Line(words, line.expression, color), words, summed[words])
        for words, color in zip(ordered, _COLORS, strict=False)
    ]
    if rest := ordered[len(_COLORS) :]:
        words = f"{len(rest)} other{'' if len(rest) == 1 else 's'}"
        found.append(Drawn(Line(words, line.expression, _REST), words, _sum([summed[one] for one in rest])))
    return found


def _sum(several: Iterable[Series]) -> Series:
    """Point by point; None where none is known."""
    return [
        sum(known) if (known := [value for value in values if value is not None]) else None
        for values in zip(*several, strict=True)
    ]
