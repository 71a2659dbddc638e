"""Scripts that ask for the fleet as it was."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from httpx import WSGITransport
from pytest_django import Settings

from domains.models import Domain, DomainState
from domains.timeline import fleet
from hosts.models import Host, HostEvent
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory, SiteFactory, UserFactory
from tests.main.test_past import event, moment, record
from tests.polling import poll
from vmdash.access.models import Grant
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.cli.__main__ import REFUSED, main

pytestmark = pytest.mark.django_db

NOW = int(time.time()) // 60 * 60
BEGIN, MORNING, EVENING = NOW - 2 * 86_400, NOW - 86_400, NOW - 40_000


@pytest.fixture
def hosts(victoria_metrics: str) -> tuple[Host, Host]:
    """Names are new, since the history store is shared."""
    one, two = [HostFactory.create(name=f"kvm-{uuid.uuid4().hex[:8]}") for _ in range(2)]
    for host in (one, two):
        HostEvent.objects.create(host=host, at=moment(BEGIN), state="up")
    return one, two


@pytest.fixture
def web1(hosts: tuple[Host, Host]) -> Domain:
    """In the morning it ran on the first host; then it moved, and was paused."""
    one, two = hosts
    guest = DomainFactory.create(name="web1", host=two, state=DomainState.PAUSED)
    event(guest, BEGIN, "seen", one)
    event(guest, EVENING - 100, "moved", two)
    event(guest, NOW - 3600, "state", two, "paused")
    return guest


def fleet_at(calls: Caller, at: int, more: str = "") -> Any:
    answer = calls.get(f"/fleet/past?at={at}{more}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def guests_at(calls: Caller, at: int, more: str = "") -> Any:
    answer = calls.get(f"/fleet/past/guests?at={at}{more}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def of(told: Any, host: Host | str) -> Any:
    [found] = [one for one in told["hosts"] if one["name"] == str(getattr(host, "name", host))]
    return found


def test_hosts_and_guests_are_told_as_they_were(
    victoria_metrics: str, calls: Caller, hosts: tuple[Host, Host], web1: Domain
) -> None:
    one, two = hosts
    record(victoria_metrics, web1, one, MORNING, 0.31)
    poll(
        lambda: (guest := guests_at(calls, MORNING)["items"][0])["steal_percent"] and guest["answered"], 20, "the guest"
    )
    poll(lambda: (found := fleet_at(calls, MORNING))["steal_percent"] and found["worst"], 20, "the figures")
    told = fleet_at(calls, MORNING)
    assert (told["guests"], told["active"], told["note"], told["not_recorded"]) == (1, 1, "", [])
    assert told["at"].startswith(f"{moment(MORNING):%Y-%m-%dT%H:%M:%S}")
    assert told["steal_percent"] == pytest.approx(31, abs=0.5)
    first, second = of(told, one), of(told, two)
    assert (first["state"], first["answered"], first["states"]) == ("up", True, {"running": 1})
    assert (first["cpu_percent"], first["memory_percent"]) == (pytest.approx(50), pytest.approx(75))
    assert (second["answered"], second["cpu_percent"], second["guests"]) == (False, None, 0)
    assert [(loss["guest"], round(loss["steal_percent"])) for loss in told["worst"]] == [("web1", 31)]
    [guest] = guests_at(calls, MORNING)["items"]
    assert (guest["uuid"], guest["name"], guest["host"]) == (str(web1.pk), "web1", one.name)
    assert (guest["state"], guest["answered"], guest["exists"]) == ("running", True, True)
    assert guest["steal_percent"] == pytest.approx(31, abs=0.5)
    assert guest["since"].startswith(f"{moment(BEGIN):%Y-%m-%dT%H:%M:%S}")


def test_another_moment_is_another_answer(calls: Caller, hosts: tuple[Host, Host], web1: Domain) -> None:
    [guest] = guests_at(calls, EVENING)["items"]
    assert (guest["host"], guest["state"], guest["answered"]) == (hosts[1].name, "running", False)
    assert [change["words"] for change in fleet_at(calls, EVENING)["changes"]] == [f"moved to {hosts[1].name}"]
    [guest] = guests_at(calls, NOW - 60)["items"]
    assert (guest["host"], guest["state"], guest["steal_percent"]) == (hosts[1].name, "paused", None)


def test_what_was_not_recorded_is_said(
    calls: Caller, hosts: tuple[Host, Host], web1: Domain, settings: Settings
) -> None:
    newcomer = HostFactory.create()
    HostEvent.objects.create(host=hosts[0], at=moment(MORNING - 600), state="unreachable", reason="No route.")
    told = fleet_at(calls, MORNING)
    assert told["not_recorded"] == [newcomer.name]
    assert told["note"] == "No figures were recorded at this moment."
    assert (of(told, hosts[0])["state"], of(told, hosts[0])["state_reason"]) == ("unreachable", "No route.")
    settings.TSDB_URL = "http://127.0.0.1:9"
    assert "history store does not answer" in fleet_at(calls, MORNING)["note"]
    away = guests_at(calls, MORNING)
    assert "history store does not answer" in away["note"]
    # The host of the first was away, which is in the database.
    assert [(one["name"], one["state"], one["answered"]) for one in away["items"]] == [("web1", "running", False)]
    assert of(fleet_at(calls, MORNING), hosts[1])["answered"] is None
    assert [one["answered"] for one in guests_at(calls, EVENING)["items"]] == [None]


def test_of_a_host_that_was_removed_it_is_not_known_whether_it_answered(
    calls: Caller, hosts: tuple[Host, Host], web1: Domain
) -> None:
    Host.objects.filter(pk=hosts[0].pk).delete()
    assert of(fleet_at(calls, MORNING), hosts[0])["answered"] is None
    assert [(one["host"], one["answered"]) for one in guests_at(calls, MORNING)["items"]] == [(hosts[0].name, None)]


@pytest.mark.parametrize("what", ["/fleet/past", "/fleet/past/guests"])
def test_moments_that_are_not_kept_or_still_to_come_are_refused(
    calls: Caller, hosts: tuple[Host, Host], settings: Settings, what: str
) -> None:
    early = calls.get(f"{what}?at={BEGIN - 60}")
    assert early.status_code == 404
    assert str(moment(BEGIN).date()) in early.json()["hint"]
    late = calls.get(f"{what}?at={NOW + 86_400}")
    assert (late.status_code, late.json()["detail"]) == (422, "That moment is still to come.")
    assert calls.get(what).status_code == 422
    assert calls.get(f"{what}?at=yesterday").status_code == 422
    assert calls.get(f"{what}?at={MORNING}&site=Atlantis").status_code == 404
    settings.EVENT_RETENTION_DAYS = 1
    assert calls.get(f"{what}?at={MORNING - 3600}").status_code == 404
    HostEvent.objects.all().delete()
    assert calls.get(f"{what}?at={MORNING}").json()["detail"] == "Nothing has been recorded yet."


def test_guests_come_in_parts_and_those_that_are_gone_are_among_them(
    calls: Caller, hosts: tuple[Host, Host], web1: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "MOST_GUESTS", 2)  # so that it counts as a large fleet
    for number in range(4):
        guest = DomainFactory.create(name=f"app{number}", host=hosts[0])
        event(guest, BEGIN, "seen", hosts[0], "shut_off")
        if number == 2:
            event(guest, EVENING, "gone", hosts[0], "shut_off")
            guest.delete()
    part = guests_at(calls, MORNING, "&offset=1&limit=2")
    assert [(one["name"], one["exists"]) for one in part["items"]] == [("app1", True), ("app2", False)]
    assert (part["total"], part["offset"], part["limit"]) == (5, 1, 2)
    assert [one["name"] for one in guests_at(calls, MORNING, "&offset=3")["items"]] == ["app3", "web1"]
    assert of(fleet_at(calls, MORNING), hosts[0])["states"] == {"shut_off": 4, "running": 1}
    assert [one["name"] for one in guests_at(calls, NOW - 60)["items"]] == ["app0", "app1", "app3", "web1"]


def test_a_site_alone(calls: Caller, hosts: tuple[Host, Host], web1: Domain) -> None:
    Host.objects.filter(pk=hosts[0].pk).update(site=SiteFactory.create(name="Lyon"))
    assert [one["name"] for one in fleet_at(calls, MORNING, "&site=Lyon")["hosts"]] == [hosts[0].name]
    assert guests_at(calls, MORNING, "&site=Lyon")["total"] == 1
    assert guests_at(calls, EVENING, "&site=Lyon")["total"] == 0


@pytest.mark.parametrize("most", [2_000, 1])
def test_who_sees_one_host_learns_nothing_of_others(
    hosts: tuple[Host, Host], web1: Domain, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Of a guest that is there now, and that was elsewhere, not where."""
    monkeypatch.setattr(fleet, "MOST_GUESTS", most)
    one, two = hosts
    secret = DomainFactory.create(name="secret1", host=one)
    event(secret, BEGIN, "seen", one)
    beside = DomainFactory.create(name="web2", host=two)
    event(beside, MORNING - 60, "seen", one)
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.HOST, scope_id=str(two.pk))
    calls = Caller(person)
    told, guests = fleet_at(calls, MORNING), guests_at(calls, MORNING)
    assert [(each["name"], each["host"], each["answered"]) for each in guests["items"]] == [
        ("web1", "", None),
        ("web2", "", None),
    ]
    assert (of(told, "")["states"], of(told, "")["answered"]) == ({"running": 2}, None)
    assert [change["words"] for change in told["changes"]] == ["seen on a host that you may not see: running"]
    for answer in (told, guests):
        assert "secret1" not in str(answer)
        assert one.name not in str(answer)


@pytest.mark.usefixtures("one_connection")
def test_the_command_line_lists_both(
    calls: Caller, hosts: tuple[Host, Host], web1: Domain, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], settings: Settings,
) -> None:  # fmt: skip
    monkeypatch.setenv("VMDASH_CLI_URL", "http://testserver")
    monkeypatch.setenv("VMDASH_CLI_TOKEN", calls.text)

    def run(*arguments: str) -> int:
        return main(("past", *arguments), WSGITransport(app=get_wsgi_application()))

    assert run(str(MORNING)) == 0
    told = capsys.readouterr()
    head, line = told.out.splitlines()
    assert head.split()[:3] == ["NAME", "STATE", "HOST"]
    assert line.split()[:5] == ["web1", "running", "(last", "known)", hosts[0].name]
    assert told.err.strip() == "No figures were recorded at this moment."
    here = (moment(MORNING) + timedelta(seconds=30)).astimezone().replace(tzinfo=None)
    assert run(here.isoformat(timespec="minutes"), "--hosts") == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == {host.name for host in hosts}
    assert run(str(BEGIN - 60)) == REFUSED
    assert "Nothing is kept of that time." in capsys.readouterr().err
    settings.TSDB_URL = "http://127.0.0.1:9"
    assert run(str(MORNING)) == 0
    assert "last known" not in capsys.readouterr().out
    assert run(str(MORNING), "--hosts") == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["ANSWERED", "–", "–"]
