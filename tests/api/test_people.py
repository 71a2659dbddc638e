"""Scripts make accounts and groups, for who comes and goes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tests.api.caller import Caller
from tests.factories import HostFactory, UserFactory
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.api.models import TokenScope

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(administrator: User) -> Caller:
    return Caller(administrator)


@pytest.fixture
def ada() -> User:
    return UserFactory.create(username="ada", role=Role.VIEWER)


def test_somebody_comes_and_chooses_a_password_with_a_link(manager: Caller, client: Client) -> None:
    made = manager.post("/people", {"username": "ada", "email": "ada@example.org", "role": "operator"})
    assert made.status_code == 201
    assert (made.json()["role"], made.json()["holds"]) == ("operator", ["Operator on everything"])
    link = manager.post(f"/people/{made.json()['id']}/password-link")
    page = client.get(link.json()["url"], follow=True)
    chosen = {"new_password1": "a long word of hers", "new_password2": "a long word of hers"}
    client.post(page.redirect_chain[-1][0], chosen)
    assert User.objects.get(username="ada").check_password("a long word of hers")
    assert AuditEntry.objects.filter(target_name="ada").count() == 3


@pytest.mark.parametrize(
    "wrong", [{"username": ""}, {"username": "ADA"}, {"username": "a b"}, {"role": "king"}, {"email": "nowhere"}]
)
def test_what_is_wrong_makes_nobody(manager: Caller, ada: User, wrong: dict[str, Any]) -> None:
    before = User.objects.count()
    assert manager.post("/people", {"username": "new"} | wrong).status_code == 422
    assert User.objects.count() == before


def test_people_are_found_and_told_of(manager: Caller, ada: User) -> None:
    ada.groups.add(Group.objects.create(name="night shift"))
    found = manager.get("/people?q=night&state=on").json()
    assert (found["total"], found["items"]) == (1, [manager.get(f"/people/{ada.pk}").json()])
    assert (found["items"][0]["username"], found["items"][0]["groups"]) == ("ada", ["night shift"])


def test_who_goes_is_switched_off_and_their_tokens_end(manager: Caller, ada: User) -> None:
    hers = Caller(ada, TokenScope.READ)
    answer = manager.send("PATCH", f"/people/{ada.pk}", {"is_active": False})
    assert (answer.status_code, answer.json()["is_active"]) == (200, False)
    assert hers.get("/guests").status_code == 401
    assert manager.send("PATCH", f"/people/{ada.pk}", {"is_active": True}).json()["is_active"]
    assert hers.get("/guests").status_code == 401


def test_what_cannot_be_done_changes_nothing(manager: Caller, administrator: User) -> None:
    answer = manager.send("PATCH", f"/people/{administrator.pk}", {"role": "administrator", "is_active": False})
    assert (answer.status_code, "yourself" in answer.json()["detail"]) == (409, True)
    demoted = manager.send("PATCH", f"/people/{administrator.pk}", {"role": "viewer"})
    assert (demoted.status_code, "left" in demoted.json()["detail"]) == (409, True)
    administrator.refresh_from_db()
    assert (administrator.role, administrator.is_active) == (Role.ADMINISTRATOR, True)


def test_a_group_is_made_joined_left_and_removed(manager: Caller, ada: User) -> None:
    group = manager.post("/groups", {"name": "night shift"}).json()
    assert manager.post(f"/groups/{group['id']}/members", {"person": "ada"}).json()["members"] == ["ada"]
    assert manager.post(f"/groups/{group['id']}/members", {"person": "ada"}).status_code == 409
    assert manager.post(f"/groups/{group['id']}/members", {"person": "nobody"}).status_code == 404
    assert manager.get("/groups").json()["items"] == [{**group, "members": ["ada"]}]
    assert manager.send("DELETE", f"/groups/{group['id']}/members/{ada.pk}").status_code == 204
    assert manager.send("DELETE", f"/groups/{group['id']}?confirm=another").status_code == 422
    assert manager.send("DELETE", f"/groups/{group['id']}?confirm=night shift").status_code == 204
    assert not Group.objects.exists()


def test_who_manages_one_place_sees_those_who_hold_something_there_and_makes_nobody(ada: User) -> None:
    host, local = HostFactory.create(name="kvm1"), UserFactory.create(username="local", role="")
    on_host = {"scope": Scope.HOST, "scope_id": str(host.pk), "scope_name": "kvm1"}
    Grant.objects.create(person=local, role=Role.ADMINISTRATOR, **on_host)
    Grant.objects.create(person=ada, role=Role.OPERATOR, **on_host)
    UserFactory.create(username="elsewhere", role=Role.VIEWER)
    caller = Caller(local)
    found = caller.get("/people").json()["items"]
    assert [(one["username"], one["role"], one["holds"]) for one in found] == [
        ("ada", "", ["Operator on host kvm1"]),
        ("local", "", ["Administrator on host kvm1"]),
    ]
    assert caller.post("/people", {"username": "new"}).status_code == 403
    assert caller.send("PATCH", f"/people/{ada.pk}", {"is_active": False}).status_code == 403
    assert caller.post(f"/people/{ada.pk}/password-link").status_code == 403
    ada.refresh_from_db()
    assert ada.is_active


def test_tokens_that_only_act_manage_nobody(administrator: User, ada: User) -> None:
    acts = Caller(administrator, TokenScope.ACT)
    assert acts.get("/people").status_code == 403
    assert acts.send("PATCH", f"/people/{ada.pk}", {"role": "administrator"}).status_code == 403
    ada.refresh_from_db()
    assert ada.role == Role.VIEWER
