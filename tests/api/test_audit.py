"""The audit trail for scripts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.api.caller import Caller
from tests.factories import HostFactory, UserFactory
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.trail import chain
from vmdash.api.models import TokenScope

pytestmark = pytest.mark.django_db

YESTERDAY = timedelta(days=1)


@pytest.fixture
def reader(administrator: User) -> Caller:
    return Caller(administrator)


@pytest.fixture
def trail(operator: User, reader: Caller) -> None:
    """After the reader's token, whose making stands in it, too."""
    AuditEntry.objects.all().delete()
    record(user=operator, action="domain.start", target_kind="domain", target_id="u-1", target_name="web1")
    record(user=operator, action="job.end", target_kind="domain", target_name="web1", failed=True, detail="no disk")
    record(user=None, action="sign_in.refused", target_kind="person", target_name="eve", refused=True)
    AuditEntry.objects.filter(action="domain.start").update(at=timezone.now() - 2 * YESTERDAY)


def actions(reader: Caller, search: str = "") -> list[str]:
    answer = reader.get(f"/audit?{search}")
    assert answer.status_code == 200
    return [entry["action"] for entry in answer.json()["items"]]


@pytest.mark.usefixtures("trail")
def test_entries_come_newest_first_with_everything_that_they_say(reader: Caller, operator: User) -> None:
    chain.seal()
    told = reader.get("/audit").json()
    assert [entry["action"] for entry in told["items"]] == ["sign_in.refused", "job.end", "domain.start"]
    entry, row = told["items"][1], AuditEntry.objects.get(action="job.end")
    assert (entry["user"], entry["target_name"], entry["result"]) == (operator.username, "web1", "failed")
    assert (entry["detail"], entry["number"], entry["hash"]) == ("no disk", row.number, row.hash)
    assert entry["hash"]


@pytest.mark.usefixtures("trail")
def test_it_is_searched_as_on_its_page(reader: Caller, operator: User) -> None:
    assert actions(reader, f"who={operator.username}") == ["job.end", "domain.start"]
    assert actions(reader, "action=domain") == ["domain.start"]
    assert actions(reader, "what=disk") == ["job.end"]
    assert actions(reader, "result=refused") == ["sign_in.refused"]
    since = (timezone.now() - YESTERDAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert actions(reader, f"since={since}") == ["sign_in.refused", "job.end"]
    assert actions(reader, f"until={since}") == ["domain.start"]


@pytest.mark.usefixtures("trail")
def test_its_parts_stay_where_they_are_while_new_entries_come(reader: Caller) -> None:
    first = reader.get("/audit?limit=1").json()
    assert first["total"] == 3
    record(user=None, action="host.add", target_kind="host", target_name="kvm1")
    rest = reader.get(f"/audit?before={first['items'][0]['id']}").json()
    assert ([entry["action"] for entry in rest["items"]], rest["total"]) == (["job.end", "domain.start"], 2)


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    "search", ["result=maybe", "since=yesterday", "since=2026-01-31T12:00:00", "until=0001-01-01T00:00:00Z", "before=0"]
)
def test_a_search_that_makes_no_sense_is_refused(reader: Caller, search: str) -> None:
    assert reader.get(f"/audit?{search}").status_code == 422


def test_only_who_may_read_all_of_it_reads_it(operator: User, administrator: User) -> None:
    some = UserFactory.create(role="")
    Grant.objects.create(person=some, role="administrator", scope=Scope.HOST, scope_id=str(HostFactory.create().pk))
    for refused in (Caller(operator), Caller(some), Caller(administrator, TokenScope.ACT)):
        answer = refused.get("/audit")
        assert answer.status_code == 403
        assert "items" not in answer.json()
    assert AuditEntry.objects.filter(target_name="GET /api/v1/audit", refused=True).count() == 3
