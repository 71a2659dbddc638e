"""The tables of the capacity page as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO

from domains.capacity.needs import Need
from domains.capacity.sheet import KINDS, Line, Sheet
from domains.capacity.takers import Taker

Cell = str | int | float | None


def hosts(sheet: Sheet) -> str:
    """The fleet, its sites and hosts, in bytes and CPUs. Empty where nothing is known, or others' would count."""
    head = [
        "level", "name", "guests", "cpus", "vcpus", "vcpus_per_cpu", "cpu_busy", "cpu_lost_to_steal",
        "cpu_lost_percent", "memory_bytes", "memory_given_bytes", "memory_room_bytes", "memory_busy_bytes",
        "storage_bytes", "storage_taken_bytes", "storage_promised_bytes", "guests_lost_if_it_fails",
        "hosts_crowded_if_it_fails", "cpu_fits_if_it_fails", "full_first", "full_from", "full_at", "full_by",
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
        len(line.failure.stranded) if line.failure else None,
        len(line.failure.crowded) if line.failure else None,
        _yes_or_no(line.failure.cpu_fits) if line.failure else None,
        full.resource if full else "", day("full_from"), day("full_at"), day("full_by"),
    ]  # fmt: skip


def failures(sheet: Sheet) -> str:
    """Each guest of each host: where it would go if its host failed and what becomes of that host's CPUs, or why
    nowhere."""
    rows: list[list[Cell]] = []
    for failure in sheet.failures:
        name = failure.machine.name
        cpu = {taker.machine.pk: _cpu(taker) for taker in failure.takers}
        rows += [[*_guest(name, need), to.name, "", *cpu[to.pk]] for need, to in failure.placed]
        rows += [[*_guest(name, one.need), "", one.why, *[None] * 6] for one in failure.stranded]
    head = [
        "host_that_fails", "guest", "uuid", "vcpus", "memory_bytes", "goes_to", "why_nowhere", "its_cpus",
        "its_vcpus_per_cpu_before", "its_vcpus_per_cpu_after", "its_cpu_busy_after", "its_guests_unmeasured",
        "its_cpu_fits",
    ]  # fmt: skip
    return _table(head, rows)


def _guest(host: str, need: Need) -> list[Cell]:
    return [host, need.name, str(need.uuid), need.vcpus, need.memory_kib * 1024]


def _cpu(taker: Taker) -> list[Cell]:
    return [
        taker.machine.cpus or None, _short(taker.before), _short(taker.after), _short(taker.busy_after),
        taker.unmeasured, _yes_or_no(taker.fits),
    ]  # fmt: skip


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


def _yes_or_no(value: bool | None) -> str:
    """Empty where it is not known."""
    return "" if value is None else "yes" if value else "no"


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
