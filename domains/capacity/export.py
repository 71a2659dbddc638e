"""The tables of the capacity page as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO

from domains.capacity.sheet import KINDS, Line, Sheet

Cell = str | int | float | None


def hosts(sheet: Sheet) -> str:
    """The fleet, its sites and hosts, in bytes and CPUs. Empty where nothing is known, or others' would count."""
    head = [
        "level", "name", "guests", "cpus", "vcpus", "vcpus_per_cpu", "cpu_busy", "cpu_lost_to_steal",
        "cpu_lost_percent", "memory_bytes", "memory_given_bytes", "memory_room_bytes", "memory_busy_bytes",
        "storage_bytes", "storage_taken_bytes", "storage_promised_bytes", "guests_lost_if_it_fails", "full_first",
        "full_from", "full_at", "full_by",
    ]  # fmt: skip
    return _table(head, (_line(line, sheet.whole) for line in (sheet.fleet, *sheet.sites, *sheet.hosts)))


def _line(line: Line, whole: bool) -> list[Cell]:
    full, room = line.first_full, line.storage

    def day(name: str) -> str:
        value = getattr(full, name) if full else None
        return value.isoformat() if value else ""

    return [
        line.scope, line.name, line.guests, line.cpus, line.vcpus, _short(line.cpu_ratio) if whole else None,
        _short(line.cpu_busy), _short(line.steal_cpus), _short(line.steal_percent), line.total_kib * 1024,
        line.given_kib * 1024, line.memory_room_kib * 1024 if whole else None, _whole(line.memory_busy),
        room.total or None, room.taken if room.total else None, room.promised if room.total else None,
        len(line.failure.stranded) if line.failure else None, full.resource if full else "",
        day("full_from"), day("full_at"), day("full_by"),
    ]  # fmt: skip


def failures(sheet: Sheet) -> str:
    """Each guest of each host: where it would go if its host failed, or why nowhere."""
    rows: list[list[Cell]] = []
    for failure in sheet.failures:
        name = failure.machine.name
        rows += [[name, need.name, str(need.uuid), need.memory_kib * 1024, to.name, ""] for need, to in failure.placed]
        rows += [
            [name, one.need.name, str(one.need.uuid), one.need.memory_kib * 1024, "", one.why]
            for one in failure.stranded
        ]
    return _table(["host_that_fails", "guest", "uuid", "memory_bytes", "goes_to", "why_nowhere"], rows)


def guests(sheet: Sheet) -> str:
    """The findings with their evidence."""
    rows: list[list[Cell]] = [
        [
            kind, one.use.name, str(one.use.uuid), one.use.host, one.use.vcpus, one.use.memory_kib * 1024,
            one.use.hours, _short(one.use.cpu_mean), _short(one.use.cpu_busy), _short(one.use.cpu_peak),
            _short(one.use.steal_mean), _short(one.use.steal_busy), one.use.memory_peak_bytes, one.evidence, one.advice,
        ]
        for kind in KINDS
        for one in sheet.findings[kind]
    ]  # fmt: skip
    head = [
        "finding", "guest", "uuid", "host", "vcpus", "memory_bytes", "hours_measured", "cpu_mean", "cpu_busy",
        "cpu_peak", "steal_mean", "steal_busy", "memory_peak_bytes", "evidence", "advice",
    ]  # fmt: skip
    return _table(head, rows)


TABLES: dict[str, Callable[[Sheet], str]] = {"hosts": hosts, "failures": failures, "guests": guests}
"""By the name in the address."""


def _table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue()


def _cell(cell: Cell) -> Cell:
    """Names that a spreadsheet would take for a formula get an apostrophe before them."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
