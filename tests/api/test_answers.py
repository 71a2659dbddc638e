"""What all operations have in common: problems, ETags, keys that make asking twice harmless, the document."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from domains.models import Domain
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory
from vmdash.access.models import AuditEntry, User
from vmdash.api.models import KeptAnswer
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

KEY = {"Idempotency-Key": "7d1c"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/guests/00000000-0000-4000-8000-000000000000", None, 404),
        ("GET", "/guests?q=nothing:here", None, 422),
        ("GET", "/guests?limit=9999", None, 422),
        ("GET", "/guests?q=%00", None, 400),
        ("GET", "/hosts?state=asleep", None, 422),
        ("PUT", "/guests", {}, 405),
        ("POST", "/guests/actions", {"action": "start"}, 422),
        ("POST", "/guests/actions", {"action": "start", "guests": [], "more": 1}, 422),
    ],
)
def test_what_is_wrong_is_told_as_a_problem(calls: Caller, method: str, path: str, body: Any, status: int) -> None:
    answer = calls.send(method, path, body)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]


def test_a_body_that_is_no_json_is_a_problem(calls: Caller) -> None:
    answer = calls.client.post("/api/v1/guests/actions", b"{", content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_what_destroys_something_asks_for_confirmation(calls: Caller, guest: Domain) -> None:
    path = f"/guests/{guest.pk}/actions"
    answer = calls.post(path, {"action": "force_off"})
    assert answer.status_code == 422
    assert answer.json()["type"] == "confirmation-needed"
    assert calls.post(path, {"action": "force_off", "confirm": "web1"}).status_code == 202


def test_an_answer_that_has_not_changed_is_not_sent_again(calls: Caller, guest: Domain) -> None:
    first = calls.get(f"/guests/{guest.pk}")
    again = calls.get(f"/guests/{guest.pk}", **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Domain.objects.filter(pk=guest.pk).update(note="backs up everything")
    assert calls.get(f"/guests/{guest.pk}", **{"If-None-Match": first["ETag"]}).status_code == 200


def test_the_etag_of_another_person_is_another_answer(calls: Caller, nobody: User, guest: Domain) -> None:
    tag = calls.get("/guests")["ETag"]
    assert Caller(nobody).get("/guests", **{"If-None-Match": tag}).status_code == 403


def test_what_was_asked_for_twice_with_one_key_is_done_once(calls: Caller, guest: Domain) -> None:
    path, body = f"/guests/{guest.pk}/actions", {"action": "shutdown"}
    first = calls.post(path, body, **KEY)
    again = calls.post(path, body, **KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == 1
    assert calls.post(path, body).status_code == 409  # another request: the guest is busy


def test_a_key_belongs_to_one_request_and_one_person(calls: Caller, guest: Domain, administrator: User) -> None:
    path = f"/guests/{guest.pk}/actions"
    calls.post(path, {"action": "shutdown"}, **KEY)
    assert calls.post(path, {"action": "reboot"}, **KEY).status_code == 422
    other = Caller(administrator).post(f"/guests/{DomainFactory.create().pk}/actions", {"action": "shutdown"}, **KEY)
    assert other.status_code == 202
    assert "Idempotency-Replayed" not in other


def test_what_was_refused_may_be_tried_again_with_the_key_and_stands_in_the_trail(viewer: User, guest: Domain) -> None:
    calls, path = Caller(viewer), f"/guests/{guest.pk}/actions"
    assert calls.post(path, {"action": "shutdown"}, **KEY).status_code == 403
    assert not KeptAnswer.objects.exists()
    assert AuditEntry.objects.filter(user=viewer, refused=True).count() == 1
    User.objects.filter(pk=viewer.pk).update(role="operator")
    assert calls.post(path, {"action": "shutdown"}, **KEY).status_code == 202


def test_bulk_answers_are_kept_too(calls: Caller, guest: Domain) -> None:
    body = {"action": "shutdown", "guests": [str(guest.pk), "00000000-0000-4000-8000-000000000000"]}
    first, again = (calls.post("/guests/actions", body, **KEY).json() for _ in range(2))
    assert first == again
    assert first[1]["error"] == "There is no such guest."


def test_lists_come_in_parts(calls: Caller) -> None:
    for number in range(5):
        HostFactory.create(name=f"kvm{number}")
    part = calls.get("/hosts?offset=3&limit=5&sort=name").json()
    assert [host["name"] for host in part["items"]] == ["kvm3", "kvm4"]
    assert (part["total"], part["offset"], part["limit"]) == (5, 3, 5)


def test_guests_are_found_with_the_search_language_of_the_page(calls: Caller, guest: Domain) -> None:
    DomainFactory.create(name="db1", state="shut_off", host=guest.host)
    found = calls.get(f"/guests?q=state:running%20host:{guest.host.name}").json()
    assert [one["name"] for one in found["items"]] == ["web1"]


def test_the_document_is_read_with_a_token_or_by_who_is_signed_in(calls: Caller, viewer_client: Client) -> None:
    assert calls.get("/openapi.json").json()["openapi"].startswith("3.1")
    assert viewer_client.get("/api/v1/openapi.json").status_code == 200
    assert Client().get("/api/v1/openapi.json").status_code == 401


def test_the_page_about_the_api_takes_everything_from_here_and_has_nothing_inline(viewer_client: Client) -> None:
    answer = viewer_client.get("/api/v1/docs")
    page = answer.content.decode()
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert files and all(finders.find(name) for name in files)
    assert "://" not in page
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    assert "unsafe" not in answer["Content-Security-Policy"]
