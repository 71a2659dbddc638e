"""Whether a migration will end: how fast the guest writes memory, against how fast it can be sent."""

from __future__ import annotations

from domains.migration.lines import Line, failed, passed, warned
from domains.models import Migration
from vmdash import formats

MIB = 2**20
GIGABIT = 110 * MIB
"""Bytes per second that a gigabit link really carries."""
CALM = 0.7
"""Up to this share of the rate, a few rounds are enough."""
LARGEST_SAMPLE = 5
"""The last few moves between two hosts tell what the link carries."""
LEAST_BYTES = 64 * MIB
"""Shorter moves tell little about the link."""


def prediction(source: str, target: str, *, dirty_bytes_per_s: int | None, bandwidth_mib_s: int = 0) -> Line:
    """In a line."""
    subject = "Will it end"
    if dirty_bytes_per_s is None:
        return warned(
            subject, "How fast the guest writes memory could not be measured.", "The page tells if it stalls."
        )
    link, known = _link(source, target)
    rate = min(link, bandwidth_mib_s * MIB) if bandwidth_mib_s else link
    writes = f"It writes {formats.per_second(dirty_bytes_per_s)} of memory"
    carries = f"{formats.per_second(rate)} {'go over' if known or bandwidth_mib_s else 'would go over a gigabit link'}"
    if dirty_bytes_per_s <= CALM * rate:
        return passed(subject, f"{writes}, and {carries}.")
    if dirty_bytes_per_s <= rate:
        return warned(subject, f"{writes}, and {carries}: it will take many rounds.", "Leave auto-converge on.")
    if bandwidth_mib_s:
        return failed(subject, f"{writes}, and {carries}.", "Allow more bandwidth.")
    return warned(
        subject, f"{writes}, and {carries}: it will not end by itself.", "Leave auto-converge on, or allow post-copy."
    )


def _link(source: str, target: str) -> tuple[int, bool]:
    """Bytes per second between the hosts, and whether that was measured."""
    moves = Migration.objects.filter(
        source_name=source,
        target_name=target,
        outcome=Migration.Outcome.MOVED,
        transferred_bytes__gte=LEAST_BYTES,
        duration_ms__gt=0,
    )
    rates = [
        move.transferred_bytes * 1000 // move.duration_ms for move in moves[:LARGEST_SAMPLE] if move.transferred_bytes
    ]
    return (max(rates), True) if rates else (GIGABIT, False)
