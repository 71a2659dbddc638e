"""Reading one guest. Everything here blocks and runs on the thread of the lane."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hosts.collector.inventory import SeenDefinition
from vmdash.virt.guest import Guest, GuestFacts
from vmdash.virt.snapshot import SnapshotFacts, count, snapshots


def steady(facts: GuestFacts) -> GuestFacts:
    """Facts without the counter in them, fit to be compared."""
    return replace(facts, cpu_time_ns=0)


@dataclass(frozen=True, slots=True)
class Read:
    """A guest's definition and snapshots: None what has not changed. `mark` and `number` tell that the next time."""

    mark: int
    definition: SeenDefinition | None
    number: int
    snapshots: tuple[SnapshotFacts, ...] | None


def read_guest(guest: Guest, *, active: bool, mark: int, number: int, anew: bool = False) -> Read:
    """What changed. There are no events about snapshots: they are read when there are more or fewer than the `number`
    known (-1: not known), and `anew` whenever there are any."""
    mark, definition = read_definition(guest, active=active, known=mark)
    there = count(guest)
    changed = there != number or (anew and there > 0)
    return Read(mark, definition, there, _snapshots(guest, there) if changed else None)


def _snapshots(guest: Guest, there: int) -> tuple[SnapshotFacts, ...]:
    """Most guests have none, and a fleet that is met for the first time has many guests."""
    return tuple(one.facts() for one in snapshots(guest)) if there else ()


def read_definition(guest: Guest, *, active: bool, known: int) -> tuple[int, SeenDefinition | None]:
    """The guest's definition, and a number that tells it from others; None when that is still `known`.

    Reading costs the host and us little, parsing more: so only what changed is parsed.
    """
    stored = guest.xml(inactive=True)
    live = guest.xml() if active else stored
    number = hash((stored, live))
    if number == known:
        return number, None
    return number, SeenDefinition.parse(stored, live)
