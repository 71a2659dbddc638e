"""Asking for actions over HTTP: forms and JSON, rights, confirmations, bad input."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from domains.models import Domain
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

MANY = reverse("guests-action")
JSON = {"Accept": "application/json"}


def address(domain: Domain) -> str:
    return reverse("guest-action", args=[domain.pk])


def post(client: Client, where: str, **fields: Any) -> Any:
    return client.post(where, fields, headers=JSON)


def test_strangers_are_sent_to_sign_in(anonymous_client: Client) -> None:
    for where in (address(DomainFactory.create()), MANY):
        assert anonymous_client.post(where, {"action": "start"}).status_code == 302
    assert not Job.objects.exists()


def test_people_without_a_role_may_not_even_ask(nobody_client: Client) -> None:
    for where in (address(DomainFactory.create()), MANY):
        assert nobody_client.post(where, {"action": "start"}).status_code == 403
    assert not Job.objects.exists()


def test_viewers_may_not_act(viewer_client: Client) -> None:
    domain = DomainFactory.create(state="shut_off")
    assert viewer_client.post(address(domain), {"action": "start"}).status_code == 403
    answer = post(viewer_client, address(domain), action="start")
    assert (answer.status_code, answer.json()["error"]) == (403, "You may not start, shut down and restart guests.")
    [result] = post(viewer_client, MANY, action="start", uuid=domain.pk).json()["results"]
    assert result["error"] == "You may not start, shut down and restart guests."
    assert not Job.objects.exists()


def test_help_desk_starts_but_does_not_force(help_desk_client: Client) -> None:
    domain = DomainFactory.create(name="web1", state="shut_off")
    response = help_desk_client.post(address(domain), {"action": "start"})
    assert (response.status_code, response["Location"]) == (302, reverse("guest", args=[domain.pk]))
    assert Job.objects.get().label == "Start web1"
    running = DomainFactory.create()
    assert post(help_desk_client, address(running), action="force_off", confirm=running.name).status_code == 403


def test_a_job_is_answered_with_its_address(operator_client: Client) -> None:
    answer = post(operator_client, address(DomainFactory.create(state="shut_off")), action="start")
    job = Job.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {"job": {"id": str(job.pk), "url": reverse("job", args=[job.pk])}}


def test_without_a_confirmation_a_page_asks_for_it(operator_client: Client) -> None:
    domain = DomainFactory.create(name="web1")
    page = operator_client.post(address(domain), {"action": "force_off"})
    assert page.status_code == 200
    assert "To force off web1, type its name." in page.text
    assert "as in a power failure" in page.text
    again = operator_client.post(address(domain), {"action": "force_off", "confirm": "web2"})
    assert "“web2” is not it." in again.text
    assert not Job.objects.exists()
    operator_client.post(address(domain), {"action": "force_off", "confirm": "web1"})
    assert Job.objects.get().kind == "domain.force_off"


def test_a_missing_confirmation_is_told_to_programs(operator_client: Client) -> None:
    answer = post(operator_client, address(DomainFactory.create()), action="force_off")
    assert answer.status_code == 400
    assert answer.json()["needs_confirmation"]
    assert answer.json()["hint"]


def test_what_is_not_possible_is_a_conflict(operator_client: Client) -> None:
    domain = DomainFactory.create(name="web1", state="paused")
    answer = post(operator_client, address(domain), action="reboot")
    assert (answer.status_code, answer.json()["error"]) == (409, "Cannot reboot web1: it is paused. Resume it.")
    JobFactory.create(domain=domain)
    assert post(operator_client, address(domain), action="resume").status_code == 409


def test_an_unreachable_host_is_a_conflict(operator_client: Client) -> None:
    domain = DomainFactory.create(host=HostFactory.create(name="kvm9", state=Host.State.UNREACHABLE), name="web1")
    assert "kvm9 does not answer" in post(operator_client, address(domain), action="reboot").json()["error"]


def test_guests_that_are_not_there_are_not_found(operator_client: Client) -> None:
    gone = DomainFactory.create()
    Domain.objects.filter(pk=gone.pk).update(gone_at=gone.state_since)
    for where in (address(gone), reverse("guest-action", args=[uuid4()])):
        assert post(operator_client, where, action="start").status_code == 404
        assert operator_client.post(where, {"action": "start"}).status_code == 404


@pytest.mark.parametrize("action", ["", "explode", "x" * 10_000, "start\x00"])
def test_an_action_nobody_knows_is_bad_input(operator_client: Client, action: str) -> None:
    domain = DomainFactory.create()
    assert post(operator_client, address(domain), action=action).status_code == 400
    assert operator_client.post(address(domain), {"action": action}).status_code == 400
    assert post(operator_client, MANY, action=action, uuid=domain.pk).status_code == 400
    assert not Job.objects.exists()


@pytest.mark.parametrize("uuids", [[], ["odd"], ["\x00"], [str(uuid4())] * 2 + ["7"]])
def test_guests_without_a_uuid_are_bad_input(operator_client: Client, uuids: list[str]) -> None:
    assert post(operator_client, MANY, action="start", uuid=uuids).status_code == 400
    assert operator_client.post(MANY, {"action": "start", "uuid": uuids}).status_code == 400


def test_reading_does_nothing(operator_client: Client) -> None:
    for where in (address(DomainFactory.create()), MANY):
        assert operator_client.get(where, {"action": "start"}).status_code == 405


def test_forms_are_protected_against_forgery(operator: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    assert client.post(address(DomainFactory.create(state="shut_off")), {"action": "start"}).status_code == 403
    assert not Job.objects.exists()


def test_many_guests_get_an_answer_each(operator_client: Client) -> None:
    off, paused = (
        DomainFactory.create(name="off", state="shut_off"),
        DomainFactory.create(name="paused", state="paused"),
    )
    results = post(operator_client, MANY, action="start", uuid=[off.pk, paused.pk]).json()["results"]
    assert results[0]["job"]["id"] == str(Job.objects.get().pk)
    assert (results[1]["job"], results[1]["error"]) == (None, "Cannot start paused: it is paused. Resume it.")
    page = operator_client.post(MANY, {"action": "start", "uuid": [off.pk, paused.pk]}, follow=True)
    assert "Cannot start paused: it is paused." in page.text
    assert "off is busy" in page.text


def test_forcing_many_off_asks_for_their_number(operator_client: Client) -> None:
    uuids = [DomainFactory.create().pk for _ in range(2)]
    page = operator_client.post(MANY, {"action": "force_off", "uuid": uuids})
    assert "To force off 2 guests, type 2." in page.text
    assert all(str(uuid) in page.text for uuid in uuids)
    assert not Job.objects.exists()
    operator_client.post(MANY, {"action": "force_off", "uuid": uuids, "confirm": "2"})
    assert Job.objects.count() == 2
