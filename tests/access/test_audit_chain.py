"""The chain of the audit trail: what was changed in the database, or is missing from it, is named."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.utils import timezone
from pytest_django import Settings

from tests.factories import UserFactory
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, AuditHead
from vmdash.access.trail import chain, retention
from vmdash.access.trail.verifying import verify
from vmdash.main import cleanup


@pytest.fixture
def trail(db: None) -> None:
    """Six chained entries, about web1 to web6."""
    for number in range(1, 7):
        record(user=None, action="domain.start", target_name=f"web{number}")
    chain.seal()


def entry(number: int) -> AuditEntry:
    return AuditEntry.objects.get(number=number)


def tamper(number: int, /, **changes: object) -> None:
    assert AuditEntry.objects.filter(number=number).update(**changes) == 1


def remove(*numbers: int) -> None:
    AuditEntry.objects.filter(number__in=numbers).delete()


def audit(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def test_a_trail_that_nobody_touched_is_whole(trail: None) -> None:
    report = verify()
    assert (report.findings, report.checked, report.first, report.last) == ([], 6, 1, 6)
    assert f"is whole: entries 1 to 6. The last one is 6:{entry(6).hash}" in audit("verify")


def test_an_empty_trail_is_no_fault(db: None) -> None:
    assert audit("verify") == "The audit trail is empty.\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"target_name": "web9"},
        {"user_name": "somebody"},
        {"address": "192.0.2.1"},
        {"detail": "nothing"},
        {"refused": True},
        {"failed": True},
        {"action": "domain.stop"},
        {"target_id": "9"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_changed_entry_is_named(trail: None, changes: dict[str, object]) -> None:
    tamper(3, **changes)
    (finding,) = verify().findings
    assert finding.startswith("Entry 3 was changed.")


def test_a_changed_time_is_named(trail: None) -> None:
    tamper(3, at=entry(3).at + timedelta(microseconds=1))
    (finding,) = verify().findings
    assert finding.startswith("Entry 3 was changed.")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1], "Entry 1 is missing."),
        ([3], "Entry 3 is missing."),
        ([3, 4], "Entries 3 to 4 are missing."),
        ([6], "Entry 6 is missing."),
        ([1, 2, 3, 4, 5, 6], "Entries 1 to 6 are missing."),
    ],
)
def test_missing_entries_are_named_also_at_both_ends(trail: None, numbers: list[int], words: str) -> None:
    remove(*numbers)
    assert verify().findings == [words]


def test_several_faults_are_named_each(trail: None) -> None:
    remove(2)
    tamper(5, target_name="web9")
    missing, changed = verify().findings
    assert missing == "Entry 2 is missing."
    assert changed.startswith("Entry 5 was changed.")


def test_an_entry_with_a_hash_made_anew_is_named(trail: None) -> None:
    forged = entry(3)
    forged.target_name = "web9"
    tamper(3, target_name="web9", hash=chain.hash_of(forged))
    assert verify().findings == ["Entry 3 was replaced: entry 4 followed on another."]


def test_so_is_the_last_one(trail: None) -> None:
    forged = entry(6)
    forged.target_name = "web9"
    tamper(6, target_name="web9", hash=chain.hash_of(forged))
    assert verify().findings == ["Entry 6, the last, was replaced: the trail ended in another."]


def test_a_gap_closed_by_other_numbers_is_found(trail: None) -> None:
    remove(3)
    for number in (4, 5, 6):
        tamper(number, number=number - 1)
    findings = verify().findings
    assert any(finding.startswith("Entry 3 was changed.") for finding in findings)
    assert "Entry 6 is missing." in findings


def test_an_end_that_was_moved_is_found(trail: None) -> None:
    AuditHead.objects.update(count=4, hash=entry(4).hash)
    assert verify().findings == ["Entry 6 is beyond the end of the trail (4): the end was changed."]


def test_a_head_that_is_gone_is_found_and_no_second_chain_begins(trail: None) -> None:
    AuditHead.objects.all().delete()
    record(user=None, action="domain.start", target_name="web7")
    with pytest.raises(chain.HeadMissing):
        chain.seal()
    assert "is missing" in verify().findings[0]
    with pytest.raises(CommandError):
        audit("verify")


def test_the_command_names_the_entry_and_fails(trail: None) -> None:
    tamper(3, target_name="web9")
    out = StringIO()
    with pytest.raises(CommandError, match="not as it was written: 1 finding, 6 entries checked"):
        call_command("audit", "verify", stdout=out)
    assert re.search(r"Entry 3 was changed\. It reads now: .*, vmdash, domain\.start, web9\.", out.getvalue())


def test_a_chain_that_was_made_anew_is_found_with_a_hash_that_was_noted(trail: None) -> None:
    noted = f"5:{entry(5).hash}"
    assert "is whole" in audit("verify", "--noted", noted)
    tamper(3, target_name="web9")
    AuditEntry.objects.update(number=None)
    AuditHead.objects.update(count=0, hash="")
    chain.seal()
    assert verify().findings == []
    with pytest.raises(CommandError, match="1 finding"):
        audit("verify", "--noted", noted)


def test_a_person_who_is_removed_changes_no_entry(db: None) -> None:
    ada = UserFactory.create(username="ada")
    record(user=ada, action="sign_in")
    chain.seal()
    ada.delete()
    assert (entry(1).user, entry(1).user_name) == (None, "ada")
    assert verify().findings == []


def test_what_cannot_be_seen_is_left_out_of_texts(db: None) -> None:
    noted = record(user=None, action="x", target_name="web1\0\n\x1b[31m\u202eevil", detail="a\r\nb")
    assert (noted.target_name, noted.detail) == ("web1 [31m evil", "a b")


@pytest.mark.django_db(transaction=True)
def test_entries_are_chained_once_they_are_committed_and_not_when_undone() -> None:
    with transaction.atomic():
        record(user=None, action="one")
        record(user=None, action="two")
        assert not AuditEntry.objects.exclude(number=None).exists()
    with pytest.raises(RuntimeError), transaction.atomic():
        record(user=None, action="undone")
        raise RuntimeError
    record(user=None, action="three")
    assert list(AuditEntry.objects.order_by("number").values_list("number", "action")) == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    assert verify().findings == []


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_make_one_chain() -> None:
    def write(writer: int) -> None:
        try:
            for number in range(10):
                with transaction.atomic():
                    record(user=None, action="domain.start", target_name=f"{writer}-{number}")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    report = verify()
    assert (report.findings, report.checked, report.waiting) == ([], 60, 0)


def test_old_entries_go_and_the_rest_can_still_be_verified(
    trail: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "AT_ONCE", 2)
    first = entry(1)
    AuditEntry.objects.update(number=None)
    AuditHead.objects.update(count=0, hash="")
    AuditEntry.objects.filter(pk__lt=first.pk + 3).update(at=timezone.now() - timedelta(days=40))
    chain.seal()
    settings.AUDIT_RETENTION_DAYS = 30
    cleanup.clean_up()
    chain.seal()
    report = verify()
    assert (report.findings, report.first, report.last) == ([], 4, 7)
    assert "3 entries before" in entry(7).detail
    remove(4)
    assert verify().findings == ["Entry 4 is missing."]


def test_what_is_missing_is_not_passed_over_by_the_clean_up(trail: None) -> None:
    remove(2)
    retention.prune(timezone.now() + timedelta(days=1))
    assert AuditHead.objects.get().anchor_number == 1
    assert "Entry 2 is missing." in verify().findings


def test_a_beginning_that_was_moved_is_found(trail: None) -> None:
    AuditHead.objects.update(anchor_number=2, anchor_hash=entry(2).hash)
    assert verify().findings == ["Entry 1 is older than the beginning of the trail (3)."]
