"""Scripts that replace what opens the hosts. What is secret goes in, and never comes out again."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.keys import generate_ssh_key
from hosts.models import Credential
from tests.api.caller import Caller
from tests.factories import CredentialFactory, HostFactory, UserFactory
from vmdash.access.models import AuditEntry, User
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def manages(administrator: User) -> Caller:
    return Caller(administrator)


@pytest.fixture
def one() -> Credential:
    return CredentialFactory.create(name="one", password="before")


def test_the_list_tells_what_each_opens_and_no_secret(manages: Caller, one: Credential) -> None:
    HostFactory.create(name="kvm1", credential=one)
    CredentialFactory.create(name="two", kind="ssh_key", username="", password="", private_key=generate_ssh_key())
    answer = manages.get("/credentials")
    told = answer.json()
    assert told["total"] == 2
    assert told["items"][0] == {
        "id": one.pk, "name": "one", "kind": "sasl", "username": "vmdash", "hosts": ["kvm1"],
    }  # fmt: skip
    assert b"before" not in answer.content
    assert b"PRIVATE KEY" not in answer.content


def test_a_password_is_replaced_for_all_its_hosts(manages: Caller, one: Credential) -> None:
    answer = manages.send("PUT", f"/credentials/{one.pk}", {"username": "vmdash2", "password": "after"})
    assert (answer.status_code, answer.json()["name"]) == (200, "one")
    assert b"after" not in answer.content
    one.refresh_from_db()
    assert (one.username, one.password) == ("vmdash2", "after")
    assert "after" not in str(AuditEntry.objects.filter(action="credential.change").values())


@pytest.mark.parametrize(
    "content",
    [
        {"username": "x"},
        {"password": "sesame"},
        {"username": "x", "password": "sesame\t"},
        {"username": "x", "password": "sesame", "private_key": "sesame"},
        {"username": "x", "password": "sesame", "name": "two"},
        {"username": "x", "password": "sesame\u0000"},
    ],
)
def test_what_is_refused_changes_nothing_and_is_not_repeated(manages: Caller, one: Credential, content: Any) -> None:
    CredentialFactory.create(name="two")
    answer = manages.send("PUT", f"/credentials/{one.pk}", content)
    assert answer.status_code == 422
    assert b"sesame" not in answer.content
    one.refresh_from_db()
    assert (one.username, one.password) == ("vmdash", "before")


def test_one_that_opens_a_host_stays(manages: Caller, one: Credential) -> None:
    HostFactory.create(name="kvm1", credential=one)
    unused = CredentialFactory.create()
    answers = [manages.send("DELETE", f"/credentials/{each.pk}").status_code for each in (one, unused)]
    assert answers == [409, 204]
    assert list(Credential.objects.all()) == [one]
    assert manages.send("DELETE", f"/credentials/{unused.pk}").status_code == 404


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELP_DESK, Role.OPERATOR])
def test_others_may_not(role: Role, one: Credential) -> None:
    calls = Caller(UserFactory.create(role=role))
    asked = [
        calls.get("/credentials"),
        calls.send("PUT", f"/credentials/{one.pk}", {"username": "x", "password": "y"}),
        calls.send("DELETE", f"/credentials/{one.pk}"),
    ]
    assert [answer.status_code for answer in asked] == [403, 403, 403]
    one.refresh_from_db()
    assert one.password == "before"
