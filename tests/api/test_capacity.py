"""Scripts that ask what would be if, and people who want the weekly summary."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from domains.capacity.models import CapacityMail
from domains.models import Domain
from hosts.models import Host
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory, UserFactory
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db

GIB = 1 << 20


@pytest.fixture
def web1() -> Domain:
    host = HostFactory.create(name="kvm1", memory_kib=16 * GIB, cpus=4)
    return DomainFactory.create(name="web1", host=host, vcpus=2, memory_kib=4 * GIB, max_memory_kib=4 * GIB)


def test_more_guests_than_there_is_room_for(calls: Caller, web1: Domain) -> None:
    told = calls.get("/capacity/what-if?guests=5&like_guest=web1").json()
    assert [(one["host"], one["guests"]) for one in told["placed"]] == [("kvm1", 2)]
    assert (told["unplaced"], told["why_unplaced"] != "") == (3, True)
    assert (told["now"]["guests"], told["then"]["guests"]) == (1, 3)
    assert told["now"]["memory_given_bytes"] == 4 * 1024**3
    assert (told["placed"][0]["vcpus_per_cpu"], told["placed"][0]["vcpus_per_cpu_then"]) == (0.5, 1.5)
    assert (told["disks_fit"], told["cpu_known"]) == (None, False)
    assert Domain.objects.count() == 1, "nothing is stored"


def test_another_host_survives_the_loss_of_this_one(calls: Caller, web1: Domain) -> None:
    told = calls.get("/capacity/what-if?hosts=1&like_host=kvm1").json()
    assert (told["not_survived_now"], told["not_survived_then"]) == (["kvm1"], [])
    assert told["then"]["hosts"] == 2
    assert Host.objects.count() == 1


def test_what_is_asked_must_make_sense(calls: Caller, web1: Domain) -> None:
    for query in ("guests=3", "guests=3&like_guest=none", "hosts=2&like_host=none", "guests=-1", "ratio=nan"):
        assert calls.get(f"/capacity/what-if?{query}").status_code == 422, query


def test_who_sees_a_part_of_the_guests_is_not_told_of_the_room_for_all(web1: Domain) -> None:
    person: User = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(web1.pk))
    assert Caller(person).get("/capacity/what-if?guests=1&like_guest=web1").status_code == 403


def test_the_weekly_summary_is_asked_for_and_ended(calls: Caller, settings: Settings) -> None:
    told = calls.get("/capacity/mail").json()
    assert (told["wanted"], told["obstacle"] != "") == (False, True)
    assert calls.send("PUT", "/capacity/mail", {"wanted": True}).status_code == 409
    settings.SENDS_MAIL = True
    User.objects.update(email="lead@example.org")
    assert calls.send("PUT", "/capacity/mail", {"wanted": True}).json() == {"wanted": True, "obstacle": ""}
    assert CapacityMail.objects.count() == 1
    assert AuditEntry.objects.filter(action="capacity.mail.subscribe").exists()
    assert not calls.send("PUT", "/capacity/mail", {"wanted": False}).json()["wanted"]
    assert not CapacityMail.objects.exists()
