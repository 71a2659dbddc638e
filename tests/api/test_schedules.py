"""Scripts that look after schedules of snapshots."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domains.models import Domain
from domains.snapshots.models import ScheduledSnapshot, SnapshotSchedule
from hosts.models import Site
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory, ScheduleFactory, SnapshotFactory, TagFactory, UserFactory
from vmdash.access.models import AuditEntry, Grant
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db

HOME = "/snapshot-schedules"


@pytest.fixture
def nightly(guest: Domain) -> SnapshotSchedule:
    return ScheduleFactory.create(name="nightly", domain=guest, keep_last=1)


def test_one_is_made_for_a_guest(calls: Caller, guest: Domain) -> None:
    wish = {
        "name": "weekly", "guest": str(guest.pk), "every": "week", "at": "03:30", "weekday": 2, "keep_last": 2,
        "keep_daily": 0, "keep_weekly": 0,
    }  # fmt: skip
    answer = calls.post(HOME, wish)
    assert answer.status_code == 201
    told, made = answer.json(), SnapshotSchedule.objects.get()
    assert (told["id"], told["guest"], told["guest_name"], told["guests"]) == (made.pk, str(guest.pk), "web1", 1)
    assert (told["every"], told["at"], told["weekday"], told["rules"]) == ("week", "03:30", 2, "the last 2")
    assert told["next_at"]
    assert (made.domain, made.created_by_name) == (guest, "operator")
    assert AuditEntry.objects.get(action="snapshot_schedule.create").target_name == "weekly"


def test_for_a_tag_and_not_enabled_yet(calls: Caller) -> None:
    TagFactory.create(name="prod")
    told = calls.post(HOME, {"name": "nightly", "tag": "prod", "enabled": False}).json()
    assert (told["tag"], told["guest"], told["enabled"], told["next_at"]) == ("prod", None, False, None)
    assert SnapshotSchedule.objects.get().enabled is False


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ({"guest": None}, "guest"),
        ({"guest": "web1"}, "body.wish.guest"),
        ({"tag": "prod"}, "guest"),
        ({"guest": None, "tag": "none"}, ""),
        ({"name": "nightly"}, "name"),
        ({"name": ""}, "name"),
        ({"keep_last": 0, "keep_daily": 0, "keep_weekly": 0}, "keep_last"),
        ({"keep_last": 101}, "body.wish.keep_last"),
        ({"at": "25:00"}, "body.wish.at"),
        ({"every": "year"}, "body.wish.every"),
        ({"kind": "memory"}, "body.wish.kind"),
        ({"surprise": 1}, "body.wish.surprise"),
    ],
)
def test_what_the_form_refuses_is_refused(calls: Caller, nightly: SnapshotSchedule, values: Any, at: str) -> None:
    TagFactory.create(name="prod")
    answer = calls.post(HOME, {"name": "weekly", "guest": str(nightly.domain_id)} | values)
    assert answer.status_code == 422
    assert at in [one["at"] for one in answer.json().get("errors", [{"at": ""}])]
    assert SnapshotSchedule.objects.count() == 1


def test_only_what_is_sent_changes(calls: Caller, nightly: SnapshotSchedule, guest: Domain) -> None:
    one = f"{HOME}/{nightly.pk}"
    told = calls.send("PATCH", one, {"keep_daily": 5}).json()
    assert (told["name"], told["keep_daily"], told["keep_last"], told["at"]) == ("nightly", 5, 1, "02:00")
    assert told["guest"] == str(guest.pk)
    told = calls.send("PATCH", one, {"enabled": False}).json()
    assert (told["enabled"], told["keep_daily"]) == (False, 5)
    assert AuditEntry.objects.filter(action="snapshot_schedule.disable").count() == 1
    TagFactory.create(name="prod")
    told = calls.send("PATCH", one, {"tag": "prod"}).json()
    assert (told["tag"], told["guest"], told["enabled"]) == ("prod", None, False)


def test_a_change_that_is_refused_changes_nothing(calls: Caller, nightly: SnapshotSchedule) -> None:
    answer = calls.send("PATCH", f"{HOME}/{nightly.pk}", {"keep_last": 0, "enabled": False})
    assert answer.status_code == 422
    nightly.refresh_from_db()
    assert (nightly.keep_last, nightly.enabled) == (1, True)


def test_which_snapshots_stay_and_which_go_is_told(calls: Caller, nightly: SnapshotSchedule, guest: Domain) -> None:
    for day in (26, 27):
        SnapshotFactory.create(domain=guest, name=f"web1-{day}")
        ScheduledSnapshot.objects.create(
            schedule=nightly, domain=guest, due_at=datetime(2024, 11, day, 2, tzinfo=UTC), snapshot_name=f"web1-{day}"
        )
    told = calls.get(f"{HOME}/{nightly.pk}").json()
    assert [(one["name"], one["stays"]) for one in told["snapshots"]] == [("web1-27", True), ("web1-26", False)]
    assert told["snapshots"][0]["why"] == ["one of the last 1"]
    assert told["last_at"].startswith("2024-11-27")


def test_one_is_removed(calls: Caller, nightly: SnapshotSchedule) -> None:
    assert calls.send("DELETE", f"{HOME}/{nightly.pk}").status_code == 204
    assert calls.get(f"{HOME}/{nightly.pk}").status_code == 404
    assert calls.get(HOME).json()["total"] == 0


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELP_DESK])
def test_who_takes_no_snapshots_only_reads(role: Role, nightly: SnapshotSchedule) -> None:
    calls, one = Caller(UserFactory.create(role=role)), f"{HOME}/{nightly.pk}"
    assert [found["name"] for found in calls.get(HOME).json()["items"]] == ["nightly"]
    assert calls.get(one).status_code == 200
    asked = [
        calls.post(HOME, {"name": "weekly", "guest": str(nightly.domain_id)}),
        calls.send("PATCH", one, {"enabled": False}),
        calls.send("DELETE", one),
    ]
    assert [answer.status_code for answer in asked] == [403, 403, 403]
    assert list(SnapshotSchedule.objects.values_list("name", "enabled")) == [("nightly", True)]


def test_those_of_others_are_not_found_and_their_guests_not_chosen(nightly: SnapshotSchedule) -> None:
    here = Site.objects.create(name="here")
    ours = DomainFactory.create(name="ours", host=HostFactory.create(site=here))
    TagFactory.create(name="prod")
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope.SITE, scope_id=str(here.pk))
    calls = Caller(person)
    assert calls.get(HOME).json()["total"] == 0
    for method in ("GET", "DELETE"):
        assert calls.send(method, f"{HOME}/{nightly.pk}").status_code == 404
    assert calls.post(HOME, {"name": "mine", "guest": str(nightly.domain_id)}).status_code == 404
    assert calls.post(HOME, {"name": "mine", "tag": "prod"}).status_code == 422
    assert calls.post(HOME, {"name": "mine", "guest": str(ours.pk)}).status_code == 201
