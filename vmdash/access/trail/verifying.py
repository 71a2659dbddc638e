"""Finding what was changed in the audit trail, or is missing from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils import timezone

from vmdash.access.models import AuditEntry, AuditHead
from vmdash.access.trail.chain import hash_of

_AT_ONCE = 1000
MOST_FINDINGS = 100


@dataclass(slots=True)
class Report:
    """What came of it."""

    checked: int = 0
    first: int = 0
    """The number of the oldest entry that should be there."""
    last: int = 0
    hash: str = ""
    """That of the last entry, to be noted elsewhere."""
    waiting: int = 0
    """Entries that are not chained yet."""
    findings: list[str] = field(default_factory=list)
    """Sentences, each of which names an entry. No more than `MOST_FINDINGS`."""

    def add(self, words: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(words)


def verify(noted: tuple[int, str] | None = None) -> Report:
    """Check every entry. `noted`: the number and the hash of an entry as they were written down elsewhere."""
    while True:
        head = AuditHead.objects.filter(pk=AuditHead.ONLY).first()
        report = _verify(head, noted)
        now = AuditHead.objects.filter(pk=AuditHead.ONLY).first()
        # The oldest entries may have been removed meanwhile, as the settings say.
        if not report.findings or head is None or now is None or now.anchor_number == head.anchor_number:
            return report


def _verify(head: AuditHead | None, noted: tuple[int, str] | None) -> Report:
    report = Report()
    report.waiting = AuditEntry.objects.filter(number=None).count()
    if head is None:
        if AuditEntry.objects.exclude(number=None).exists():
            report.add("The row that tells where the trail ends is missing: entries may have been cut off.")
        elif noted:
            report.add(f"Entry {noted[0]} was noted, but the trail is empty.")
        return report
    report.first, report.last, report.hash = head.anchor_number + 1, head.count, head.hash
    _check_chain(report, head)
    _check_outside(report, head)
    if noted:
        _check_noted(report, head, *noted)
    return report


def _check_chain(report: Report, head: AuditHead) -> None:
    number, before = head.anchor_number, head.anchor_hash
    for here, entry in _entries(head.anchor_number, head.count):
        report.checked += 1
        if here != number + 1:
            report.add(_missing(number + 1, here - 1))
        elif entry.previous_hash != before:
            report.add(
                f"Entry {number} was replaced: entry {here} followed on another."
                if number > head.anchor_number
                else f"Entry {here} does not follow on what was before it: the beginning was changed."
            )
        if hash_of(entry) != entry.hash:
            report.add(f"Entry {here} was changed. It reads now: {in_words(entry)}.")
        number, before = here, entry.hash
    if number < head.count:
        report.add(_missing(number + 1, head.count))
    elif before != head.hash:
        report.add(f"Entry {number}, the last, was replaced: the trail ended in another.")


def _check_outside(report: Report, head: AuditHead) -> None:
    """Entries before the beginning or after the end."""
    chained = AuditEntry.objects.exclude(number=None)
    if early := chained.filter(number__lte=head.anchor_number).order_by("number").first():
        report.add(f"Entry {early.number} is older than the beginning of the trail ({head.anchor_number + 1}).")
    last = chained.order_by("-number").first()
    count = AuditHead.objects.values_list("count", flat=True).get(pk=AuditHead.ONLY)  # read after the last entry
    if last and (last.number or 0) > count:
        report.add(f"Entry {last.number} is beyond the end of the trail ({count}): the end was changed.")


def _check_noted(report: Report, head: AuditHead, number: int, noted_hash: str) -> None:
    if number < head.anchor_number:
        report.add(f"Entry {number} cannot be compared: it was removed because of its age.")
        return
    entry = AuditEntry.objects.filter(number=number).first()
    known = head.anchor_hash if number == head.anchor_number else entry.hash if entry else None
    if known is None:
        report.add(f"Entry {number} was noted, but there is none.")
    elif known != noted_hash.lower():
        report.add(f"Entry {number} is not the one that was noted: its hash is {known}.")


def _entries(after: int, to: int) -> Iterator[tuple[int, AuditEntry]]:
    """With their numbers, in the order of the chain, some after the other: no transaction lasts as long as all."""
    following = AuditEntry.objects.filter(number__lte=to).order_by("number")
    while some := list(following.filter(number__gt=after)[:_AT_ONCE]):
        for entry in some:
            after = entry.number or to
            yield after, entry


def _missing(first: int, last: int) -> str:
    return f"Entry {first} is missing." if first == last else f"Entries {first} to {last} are missing."


def in_words(entry: AuditEntry) -> str:
    """ "27 Nov 2026, 02:03:12 UTC, ada, host.add, kvm1"."""
    at = timezone.localtime(entry.at).strftime("%-d %b %Y, %H:%M:%S %Z")
    return ", ".join(part for part in (at, entry.user_name or "vmdash", entry.action, entry.target_name) if part)
