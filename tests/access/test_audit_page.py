"""The page of the audit trail: searching and exporting."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.factories import UserFactory
from vmdash.access.audit import record
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.access.trail import chain, views

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators")


@pytest.fixture
def trail(operator: User) -> None:
    record(user=operator, action="domain.start", target_kind="domain", target_id="u-1", target_name="web1")
    record(user=operator, action="job.end", target_kind="domain", target_name="web1", failed=True, detail="no disk")
    record(user=None, action="sign_in.refused", target_kind="person", target_name="eve", refused=True)
    record(user=None, action="host.add", target_kind="host", target_name="kvm1")
    old = AuditEntry.objects.filter(action="host.add")
    old.update(at=timezone.now() - timedelta(days=10))
    chain.seal()


def exported(client: Client, **search: str) -> list[dict[str, object]]:
    response = client.get("/audit/export.jsonl", search)
    assert response.status_code == 200
    return [json.loads(line) for line in b"".join(response).splitlines()]


def found(client: Client, **search: str) -> set[object]:
    """The actions that the page shows, which are those that are exported."""
    shown = {entry.action for entry in client.get("/audit/", search).context["page"]}
    assert {entry["action"] for entry in exported(client, **search)} == shown
    AuditEntry.objects.filter(action="audit.export").delete()
    return shown


@pytest.mark.parametrize("address", ["/audit/", "/audit/export.jsonl"])
@pytest.mark.parametrize("who", ["nobody", "viewer", "help_desk", "operator"])
def test_only_administrators_read_it(
    request: pytest.FixtureRequest, client_of: Callable[[User], Client], who: str, address: str
) -> None:
    client = client_of(request.getfixturevalue(who))
    assert client.get(address).status_code == 403
    assert AuditEntry.objects.get().target_name == f"GET {address}"


@pytest.mark.parametrize("address", ["/audit/", "/audit/export.jsonl"])
def test_strangers_are_asked_to_sign_in(anonymous_client: Client, address: str) -> None:
    assert anonymous_client.get(address).headers["Location"].startswith("/sign-in/")
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("address", ["/audit/", "/audit/export.jsonl"])
def test_who_administers_one_site_alone_does_not(
    nobody: User, client_of: Callable[[User], Client], address: str
) -> None:
    Grant.objects.create(person=nobody, role=Role.ADMINISTRATOR, scope=Scope.SITE, scope_id="1")
    assert client_of(nobody).get(address).status_code == 403


def test_the_navigation_leads_there_for_those_who_may(administrator_client: Client, operator_client: Client) -> None:
    assert 'href="/audit/"' in administrator_client.get("/jobs/").content.decode()
    assert 'href="/audit/"' not in operator_client.get("/jobs/").content.decode()


def test_an_entry_shows_who_what_and_the_result(trail: None, administrator_client: Client) -> None:
    page = administrator_client.get("/audit/").content.decode()
    for words in ("operator", "domain.start", "web1", "failed", "refused", "no disk", "hash <code>"):
        assert words in page


@pytest.mark.parametrize(
    ("search", "actions"),
    [
        ({"who": "OPER"}, {"domain.start", "job.end"}),
        ({"action": "sign_in"}, {"sign_in.refused"}),
        ({"what": "web"}, {"domain.start", "job.end"}),
        ({"what": "u-1"}, {"domain.start"}),
        ({"what": "no disk"}, {"job.end"}),
        ({"result": "refused"}, {"sign_in.refused"}),
        ({"result": "failed"}, {"job.end"}),
        ({"result": "done"}, {"domain.start", "host.add"}),
        ({"what": "web1", "result": "done"}, {"domain.start"}),
        ({"who": "nobody at all"}, set()),
    ],
)
def test_searching(trail: None, administrator_client: Client, search: dict[str, str], actions: set[str]) -> None:
    assert found(administrator_client, **search) == actions


def test_searching_by_time(trail: None, administrator_client: Client) -> None:
    days_ago = f"{timezone.localtime() - timedelta(days=5):%Y-%m-%dT%H:%M}"
    assert found(administrator_client, until=days_ago) == {"host.add"}
    assert found(administrator_client, since=days_ago) == {"domain.start", "job.end", "sign_in.refused"}


def test_searching_by_address(administrator_client: Client) -> None:
    administrator_client.post("/sign-out/", REMOTE_ADDR="192.0.2.7")
    assert AuditEntry.objects.get(action="sign_out").address == "192.0.2.7"
    UserFactory.create(username="root", role=Role.ADMINISTRATOR)
    administrator_client.force_login(User.objects.get(username="root"))
    assert found(administrator_client, who="192.0.2.") == {"sign_out"}
    assert found(administrator_client, who="198.51.100.") == set()


@pytest.mark.parametrize(
    "search", [{"since": "yesterday"}, {"until": "0001-01-01T00:00"}, {"until": "9999-12-31T23:59"}, {"result": "x"}]
)
def test_a_search_that_makes_no_sense_is_refused(administrator_client: Client, search: dict[str, str]) -> None:
    assert administrator_client.get("/audit/", search).status_code == 400
    assert administrator_client.get("/audit/export.jsonl", search).status_code == 400
    assert not AuditEntry.objects.exists()


def test_pages(trail: None, administrator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "PAGE_SIZE", 3)
    second = administrator_client.get("/audit/?page=2&who=")
    assert len(second.context["page"]) == 1
    assert "page=1" in second.content.decode()


def test_an_export_has_all_that_a_hash_is_over_and_is_an_entry_itself(
    trail: None, administrator_client: Client
) -> None:
    lines = exported(administrator_client, what="web1")
    assert [(line["number"], line["user"], line["result"]) for line in lines] == [
        (1, "operator", "done"),
        (2, "operator", "failed"),
    ]
    assert lines[1]["previous"] == lines[0]["hash"]
    noted = AuditEntry.objects.get(action="audit.export")
    assert (noted.user_name, noted.detail) == ("admin", "what=web1")


def test_names_are_text_and_no_markup(administrator_client: Client) -> None:
    record(user=None, action="sign_in.refused", target_name="<script>alert(1)</script>", refused=True)
    assert "<script>alert(1)" not in administrator_client.get("/audit/").content.decode()


def test_an_empty_trail_says_what_will_be_there(administrator_client: Client) -> None:
    assert "Nothing happened yet" in administrator_client.get("/audit/").content.decode()
    assert "No entry matches" in administrator_client.get("/audit/?who=eve").content.decode()
