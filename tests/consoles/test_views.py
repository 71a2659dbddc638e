"""The pages of consoles and what their scripts ask for, as four kinds of people."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from domains.consoles import tickets
from domains.consoles.opening import CONSOLE_OPEN
from domains.consoles.tickets import Opening, Route, Target
from domains.models import Domain, DomainState
from hosts.models import Host
from tests.factories import DomainFactory, JobFactory
from vmdash.access.models import AuditEntry, User
from vmdash.formats import milliseconds
from vmdash.jobs.models import Job
from vmdash.live.redis import client as redis
from vmdash.live.redis import screen_key

pytestmark = pytest.mark.django_db

PAGES = ["console", "serial", "screen.png", "console/0f2d6a1c-5b7e-4c3d-9a8f-1e2d3c4b5a69"]


@pytest.fixture
def domain() -> Domain:
    return DomainFactory.create(name="web1", has_serial=True, graphics=[{"kind": "vnc", "listen": "127.0.0.1"}])


def address(domain: Domain, page: str) -> str:
    return f"/domains/{domain.pk}/{page}" + ("" if page.endswith(".png") else "/")


def asked(client: Client, domain: Domain, page: str = "console", **fields: str) -> Any:
    return client.post(address(domain, page), fields)


@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_is_sent_to_sign_in(anonymous_client: Client, domain: Domain, page: str) -> None:
    answer = anonymous_client.get(address(domain, page))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/")


@pytest.mark.parametrize("page", PAGES)
def test_who_has_no_role_or_only_views_gets_no_console(
    nobody_client: Client, viewer_client: Client, domain: Domain, page: str
) -> None:
    for client in (nobody_client, viewer_client):
        assert client.get(address(domain, page)).status_code == 403
        assert asked(client, domain, page).status_code in (403, 405)
    assert not Job.objects.exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_guest_that_is_not_there_is_not_found(help_desk_client: Client, domain: Domain, page: str) -> None:
    assert help_desk_client.get(address(DomainFactory.build(), page)).status_code == 404
    Domain.objects.update(gone_at=timezone.now())
    assert help_desk_client.get(address(domain, page)).status_code == 404


@pytest.mark.parametrize("page", ["console", "serial"])
def test_the_help_desk_gets_the_page(help_desk_client: Client, domain: Domain, page: str) -> None:
    answer = help_desk_client.get(address(domain, page))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert "web1" in answer.content.decode()


def test_only_the_serial_page_may_style_itself(help_desk_client: Client, domain: Domain) -> None:
    screen, serial = (
        help_desk_client.get(address(domain, page))["Content-Security-Policy"] for page in ("console", "serial")
    )
    assert "unsafe-inline" not in screen
    assert {"style-src 'self' 'unsafe-inline'", "script-src 'self'"} <= set(serial.split("; "))


# Asking for the screen


def test_asking_for_the_screen_makes_a_job(help_desk_client: Client, help_desk: User, domain: Domain) -> None:
    answer = asked(help_desk_client, domain)
    job = Job.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {"ticket": f"/domains/{domain.pk}/console/{job.pk}/"}
    assert (job.kind, job.requested_by, job.target_id) == (CONSOLE_OPEN.name, help_desk, str(domain.pk))
    assert not job.exclusive
    assert help_desk_client.get(answer.json()["ticket"]).status_code == 202


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": DomainState.SHUT_OFF}, "it is off. Start it first."),
        ({"graphics": []}, "it has no VNC screen"),
        ({"graphics": [{"kind": "spice"}]}, "it has no VNC screen"),
    ],
)
def test_a_screen_that_cannot_be_opened_is_refused_with_the_reason(
    help_desk_client: Client, domain: Domain, change: dict[str, Any], words: str
) -> None:
    Domain.objects.update(**change)
    answer = asked(help_desk_client, domain)
    assert answer.status_code == 409
    assert words in answer.json()["error"]
    assert not Job.objects.exists()


def test_no_worker_is_sent_to_a_host_that_does_not_answer(help_desk_client: Client, domain: Domain) -> None:
    Host.objects.update(state=Host.State.UNREACHABLE)
    assert "does not answer" in asked(help_desk_client, domain).json()["error"]
    assert "does not answer" in asked(help_desk_client, domain, "serial").json()["error"]


# Fetching the ticket


def a_job(domain: Domain, user: User, state: Job.State = Job.State.SUCCEEDED, **fields: Any) -> Job:
    return JobFactory.create(
        kind=CONSOLE_OPEN.name, domain=domain, requested_by=user, state=state, exclusive=False, **fields
    )


def leave_opening(job: Job, domain: Domain) -> None:
    target = Target(domain.host_id, Route.DIRECT, "127.0.0.1", 5900)
    tickets.leave_opening(job.pk, Opening(target, password="secret12"))


def test_the_ticket_is_handed_out_once_to_the_one_who_asked(
    help_desk_client: Client, help_desk: User, domain: Domain
) -> None:
    job = a_job(domain, help_desk)
    leave_opening(job, domain)
    where = address(domain, f"console/{job.pk}")
    answer = help_desk_client.get(where)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert answer.json()["password"] == "secret12"
    assert answer.json()["url"].endswith(f"/vnc/{domain.pk}")
    ticket = tickets.redeem(answer.json()["protocols"][1].removeprefix(tickets.SUBPROTOCOL_PREFIX))
    assert (ticket.user_id, ticket.guest) == (help_desk.pk, domain.pk)
    assert ticket.session == tickets.session_digest(help_desk_client.session.session_key or "")
    assert help_desk_client.get(where).status_code == 410


def test_nobody_else_gets_the_ticket_not_even_an_administrator(
    help_desk: User, help_desk_client: Client, administrator_client: Client, domain: Domain
) -> None:
    job = a_job(domain, help_desk)
    leave_opening(job, domain)
    assert administrator_client.get(address(domain, f"console/{job.pk}")).status_code == 404
    assert help_desk_client.get(address(DomainFactory.create(), f"console/{job.pk}")).status_code == 404
    assert help_desk_client.get(address(domain, f"console/{job.pk}")).status_code == 200


def test_a_job_of_another_kind_gives_no_ticket(help_desk_client: Client, help_desk: User, domain: Domain) -> None:
    job = JobFactory.create(domain=domain, requested_by=help_desk, state=Job.State.SUCCEEDED)
    leave_opening(job, domain)
    assert help_desk_client.get(address(domain, f"console/{job.pk}")).status_code == 404


def test_a_failed_job_says_why(help_desk_client: Client, help_desk: User, domain: Domain) -> None:
    job = a_job(domain, help_desk, Job.State.FAILED, error="Cannot connect to kvm1.", error_detail="raw")
    answer = help_desk_client.get(address(domain, f"console/{job.pk}"))
    assert answer.status_code == 409
    assert answer.json() == {"error": "Cannot connect to kvm1.", "detail": "raw", "retry": True}


# The serial console


def test_the_serial_console_gives_a_ticket_at_once(help_desk_client: Client, domain: Domain) -> None:
    answer = asked(help_desk_client, domain, "serial").json()
    assert answer["url"].endswith(f"/serial/{domain.pk}")
    ticket = tickets.redeem(answer["protocols"][1].removeprefix(tickets.SUBPROTOCOL_PREFIX))
    assert ticket.target == Target(domain.host_id, Route.LIBVIRT)
    assert AuditEntry.objects.get().action == "console.open"
    assert not Job.objects.exists()


def test_taking_over_a_serial_console_is_asked_for_in_so_many_words(help_desk_client: Client, domain: Domain) -> None:
    answer = asked(help_desk_client, domain, "serial", take_over="yes").json()
    assert tickets.redeem(answer["protocols"][1].removeprefix(tickets.SUBPROTOCOL_PREFIX)).target.take_over
    assert "taking it over" in AuditEntry.objects.get().detail


def test_a_guest_without_a_serial_port_is_told_so(help_desk_client: Client, domain: Domain) -> None:
    Domain.objects.update(has_serial=False)
    answer = asked(help_desk_client, domain, "serial")
    assert answer.status_code == 409
    assert "no serial port" in answer.json()["error"]


# Where the gateway is


@pytest.mark.parametrize(
    ("host", "secure", "url"),
    [
        ("localhost:8000", False, "ws://localhost:7000"),
        ("localhost", False, "ws://localhost:7000"),
        ("[::1]:8000", False, "ws://[::1]:7000"),
        ("[::1]", True, "wss://[::1]:7000"),
    ],
)
def test_the_gateway_is_on_the_same_host_name_as_the_page(
    help_desk_client: Client, domain: Domain, host: str, secure: bool, url: str
) -> None:
    with override_settings(CONSOLE_LISTEN=("127.0.0.1", 7000)):
        answer = help_desk_client.post(address(domain, "serial"), headers={"host": host}, secure=secure)
    assert answer.json()["url"] == f"{url}/serial/{domain.pk}"


@override_settings(CONSOLE_URL="wss://fleet.example/gateway/")
def test_the_gateway_is_where_the_settings_say(help_desk_client: Client, domain: Domain) -> None:
    assert asked(help_desk_client, domain, "serial").json()["url"] == f"wss://fleet.example/gateway/serial/{domain.pk}"


# The picture of the screen


def test_the_last_picture_of_the_screen_comes_with_its_age(help_desk_client: Client, domain: Domain) -> None:
    taken_at = milliseconds(timezone.now()) - 43_000
    redis().hset(screen_key(domain.pk), mapping={"at": taken_at, "png": b"\x89PNG"})
    answer = help_desk_client.get(address(domain, "screen.png"))
    assert answer.content == b"\x89PNG"
    assert answer["Content-Type"] == "image/png"
    assert answer["Cache-Control"] == "no-store"
    assert 43 <= int(answer["Age"]) <= 45
    assert answer["X-Taken-At"] == str(taken_at)


def test_a_screen_nobody_took_a_picture_of_is_not_found(help_desk_client: Client, domain: Domain) -> None:
    assert help_desk_client.get(address(domain, "screen.png")).status_code == 404
