"""Scripts that drain a host for its maintenance, and bring its guests back."""

from __future__ import annotations

import pytest

from domains.draining.models import Drain
from domains.models import Domain
from hosts.models import Host
from tests.api.caller import Caller
from tests.domains.draining import drained
from tests.factories import DomainFactory, HostFactory, UserFactory
from vmdash.access.roles import Role
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

DRAIN, BACK = "/hosts/kvm1/drain", "/hosts/kvm1/return"


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1")


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2")


@pytest.fixture
def web1(kvm1: Host, kvm2: Host) -> Domain:
    return DomainFactory.create(name="web1", host=kvm1)


@pytest.fixture
def record(kvm1: Host, kvm2: Host, web1: Domain) -> Drain:
    """kvm1 is in maintenance, and web1 was moved to kvm2."""
    return drained(kvm1, web1, to=kvm2)


def test_the_plan_says_what_happens_to_each_guest_and_is_carried_out_as_it_was_read(
    calls: Caller, kvm1: Host, web1: Domain
) -> None:
    plan = calls.get(DRAIN).json()
    assert (plan["summary"], plan["obstacles"], plan["unchecked"]) == ("1 guest moves", [], 1)
    step = plan["steps"][0]
    assert (step["uuid"], step["how"], step["target"]) == (str(web1.pk), "move_live", "kvm2")
    assert "of memory stay free there." in step["why"]
    answer = calls.post(DRAIN, {"mark": plan["mark"]})
    assert (answer.status_code, answer.json()["label"]) == (202, "Drain kvm1")
    kvm1.refresh_from_db()
    assert kvm1.maintenance == "draining"
    assert calls.get(DRAIN).json()["under_way"]["id"] == answer.json()["id"]
    assert calls.post(DRAIN, {"mark": plan["mark"]}).status_code == 409


def test_another_policy_is_another_plan(calls: Caller, web1: Domain, kvm2: Host) -> None:
    kvm2.delete()
    hows = {one: calls.get(f"{DRAIN}?fallback={one}").json()["steps"][0]["how"] for one in ("save", "shutdown")}
    assert hows == {"save": "save", "shutdown": "shutdown"}
    strict = calls.get(f"{DRAIN}?strict=true").json()
    assert strict["obstacles"] == ["web1 cannot move."]
    assert calls.post(DRAIN, {"mark": strict["mark"], "strict": True}).status_code == 409
    assert calls.get(f"{DRAIN}?fallback=burn").status_code == 422
    assert not Job.objects.exists()


def test_a_plan_that_has_changed_since_is_not_carried_out(calls: Caller, kvm1: Host, web1: Domain) -> None:
    mark = calls.get(DRAIN).json()["mark"]
    DomainFactory.create(name="web2", host=kvm1)
    answer = calls.post(DRAIN, {"mark": mark})
    assert (answer.status_code, answer.json()["detail"]) == (409, "The plan has changed since it was shown.")
    assert calls.post(DRAIN, {}).status_code == 422
    assert not Job.objects.exists()
    kvm1.refresh_from_db()
    assert kvm1.maintenance == "none"


def test_moves_are_checked(calls: Caller, web1: Domain, kvm2: Host) -> None:
    answer = calls.post(f"{DRAIN}/checks")
    assert (answer.status_code, answer.json()) == (202, {"asked": 1, "refused": []})
    assert Job.objects.get().kind == "domain.migrate_check"
    kvm2.delete()
    again = calls.post(f"{DRAIN}/checks").json()
    assert again["asked"] == 0
    assert again["refused"][0].startswith("web1: ")


def test_what_was_moved_is_brought_back(calls: Caller, record: Drain) -> None:
    plan = calls.get(BACK).json()
    assert [(step["guest"], step["how"], step["target"]) for step in plan["steps"]] == [("web1", "move_live", "kvm1")]
    assert calls.post(BACK, {"mark": "another"}).status_code == 409
    answer = calls.post(BACK, {"mark": plan["mark"]})
    assert (answer.status_code, answer.json()["label"]) == (202, "Return the guests of kvm1")
    assert Host.objects.get(name="kvm1").maintenance == "returning"


def test_the_maintenance_is_ended_without_bringing_anything_back(calls: Caller, record: Drain) -> None:
    answer = calls.post("/hosts/kvm1/maintenance/end")
    assert (answer.status_code, answer.json()["maintenance"]) == (200, "none")
    assert not Job.objects.exists()
    assert calls.post("/hosts/kvm1/maintenance/end").status_code == 409


def test_a_host_that_is_not_in_maintenance_has_nothing_to_bring_back(calls: Caller, web1: Domain) -> None:
    assert calls.get(BACK).status_code == 409
    assert calls.post(BACK, {"mark": "x"}).status_code == 409


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.HELP_DESK, 403)])
def test_others_may_not(role: Role, status: int, record: Drain) -> None:
    calls = Caller(UserFactory.create(role=role))
    asked = [
        calls.get(DRAIN),
        calls.post(DRAIN, {"mark": "x"}),
        calls.post(f"{DRAIN}/checks"),
        calls.get(BACK),
        calls.post(BACK, {"mark": "x"}),
        calls.post("/hosts/kvm1/maintenance/end"),
    ]
    assert {answer.status_code for answer in asked} == {status}
    assert Host.objects.get(name="kvm1").maintenance == "maintenance"
    assert not Job.objects.exists()


def test_a_host_that_is_not_there_is_not_found(calls: Caller) -> None:
    assert calls.get("/hosts/kvm9/drain").status_code == 404
    assert calls.post("/hosts/kvm9/maintenance/end").status_code == 404
