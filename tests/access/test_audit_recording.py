"""What is recorded, and from where it was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.test import AsyncClient, Client, RequestFactory
from pytest_django import Settings

from tests.factories import PASSWORD, JobFactory
from tests.jobs.kinds import registered
from vmdash import env
from vmdash.access import origin
from vmdash.access.audit import record
from vmdash.access.middleware import AuditTrail
from vmdash.access.models import AuditEntry, User
from vmdash.exceptions import Conflict
from vmdash.jobs import services, transitions
from vmdash.jobs.models import Job


@pytest.fixture
def proxies(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMDASH_TRUSTED_PROXIES", "10.0.0.5, 10.1.0.0/16, fd00::/8")
    settings.TRUSTED_PROXIES = env.networks("VMDASH_TRUSTED_PROXIES")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),  # anybody may send the header
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "203.0.113.9, 198.51.100.1", "198.51.100.1"),  # what is left of it was made up
        ("10.0.0.5", "198.51.100.1, 10.1.2.3", "198.51.100.1"),  # two proxies of ours
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "nonsense", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1, ", "10.0.0.5"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_proxies_of_ours_are_believed(proxies: None, peer: str, forwarded_for: str, address: str) -> None:
    assert origin.address_of(peer, forwarded_for) == address


def test_without_the_setting_no_proxy_is() -> None:
    assert origin.address_of("127.0.0.1", "198.51.100.1") == "127.0.0.1"


def test_a_network_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMDASH_TRUSTED_PROXIES", "proxy.example")
    with pytest.raises(ImproperlyConfigured, match="VMDASH_TRUSTED_PROXIES has what is no address"):
        env.networks("VMDASH_TRUSTED_PROXIES")


def test_a_sign_in_says_from_where(proxies: None, anonymous_client: Client, viewer: User) -> None:
    how: dict[str, Any] = {"REMOTE_ADDR": "10.0.0.5", "headers": {"X-Forwarded-For": "198.51.100.1"}}
    anonymous_client.post("/sign-in/", {"username": "viewer", "password": "guess"}, **how)
    anonymous_client.post("/sign-in/", {"username": "viewer", "password": PASSWORD}, **how)
    refused, done = AuditEntry.objects.order_by("pk")
    assert (refused.action, refused.result, refused.address) == ("sign_in.refused", "refused", "198.51.100.1")
    assert (done.action, done.result, done.address, done.user) == ("sign_in", "done", "198.51.100.1", viewer)


def test_what_nobody_asked_for_over_the_network_has_no_address(anonymous_client: Client, db: None) -> None:
    anonymous_client.get("/sign-in/", REMOTE_ADDR="192.0.2.7")
    assert record(user=None, action="x").address == ""


def test_a_refused_page_is_recorded_with_the_reason(viewer_client: Client) -> None:
    assert viewer_client.get("/alerts/receivers/", REMOTE_ADDR="192.0.2.7").status_code == 403
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.result, entry.user_name) == ("page.refused", "refused", "viewer")
    assert (entry.target_name, entry.address) == ("GET /alerts/receivers/", "192.0.2.7")
    assert entry.detail == "You may not choose whom alerts are told to."


@pytest.mark.parametrize(("undone", "actions"), [(False, ["host.drain"]), (True, ["page.refused"])])
def test_a_refusal_is_recorded_once_and_never_lost(
    rf: RequestFactory, viewer: User, undone: bool, actions: list[str]
) -> None:
    def refuse(request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            record(user=viewer, action="host.drain", refused=True)
            transaction.set_rollback(undone)
        return HttpResponseForbidden()

    request = rf.post("/hosts/kvm1/drain/")
    request.user = viewer
    AuditTrail(refuse)(request)
    assert [action for action, _, _ in _actions()] == actions


def test_a_form_without_its_token_is_too(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)
    assert client.post("/sign-out/").status_code == 403
    assert AuditEntry.objects.get().target_name == "POST /sign-out/"


def test_the_same_when_pages_are_served_as_the_web_process_does(viewer: User) -> None:
    client = AsyncClient()
    client.force_login(viewer)
    assert async_to_sync(client.get)("/alerts/receivers/", REMOTE_ADDR="127.0.0.1").status_code == 403
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.address, entry.user) == ("page.refused", "127.0.0.1", viewer)


def test_strangers_cannot_fill_it(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/sign-out/").status_code in (302, 403)
    client.get("/alerts/receivers/")
    assert not AuditEntry.objects.exists()


def _actions() -> list[tuple[str, str, str]]:
    return [(entry.action, entry.result, entry.detail) for entry in AuditEntry.objects.order_by("pk")]


def _job(user: User) -> Job:
    return JobFactory.create(label="Start web1", target_name="web1", requested_by=user, requested_by_name="operator")


def test_a_job_begins_and_ends(operator: User) -> None:
    job = _job(operator)
    assert transitions.take(job)
    assert transitions.succeed(job, {})
    assert not transitions.fail(job, "too late")
    assert _actions() == [("job.begin", "done", "Start web1"), ("job.end", "done", "Start web1: done")]
    assert set(AuditEntry.objects.values_list("user_name", "target_name")) == {("operator", "web1")}


def test_a_job_and_its_parts_begin_and_end_by_the_token_that_asked(operator: User) -> None:
    operator.token = "nightly"
    target = services.Target("host", "1", "kvm1", "kvm1")
    with registered() as kind:
        whole = services.create(kind=kind, user=operator, target=target, label="Drain kvm1")
        person = User.objects.get(pk=operator.pk)  # a worker reads it anew
        part = services.create(kind=kind, user=person, target=target, label="Move web1", parent=whole, exclusive=False)
    AuditEntry.objects.all().delete()
    for pk in (whole.pk, part.pk):
        job = Job.objects.get(pk=pk)
        transitions.take(job)
        transitions.succeed(job, {})
    assert [entry.detail.endswith("with the token “nightly”") for entry in AuditEntry.objects.all()] == [True] * 4


def test_a_job_that_fails_says_why(operator: User) -> None:
    job = _job(operator)
    transitions.take(job)
    transitions.fail(job, "Its disk image is missing.")
    assert _actions()[-1] == ("job.end", "failed", "Start web1: failed: Its disk image is missing.")


def test_a_job_that_never_began_is_only_cancelled(operator: User) -> None:
    job = _job(operator)
    services.cancel(job=job, user=operator)
    with pytest.raises(Conflict):
        services.cancel(job=job, user=operator)
    assert [action for action, _, _ in _actions()] == ["job.cancel"]


def test_the_address_ends_with_the_request(viewer: User, client_of: Any) -> None:
    client_of(viewer).get("/jobs/", REMOTE_ADDR="192.0.2.7")
    assert origin.current().address == ""
