"""Scripts that add and change hosts: by the rules of the form, and without a secret in any answer."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from hosts.keys import generate_ssh_key
from hosts.models import Credential, Host, Site
from tests.api.caller import Caller
from tests.factories import CredentialFactory, HostFactory, UserFactory
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.api.models import KeptAnswer, TokenScope
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

NEW = {"name": "kvm1", "transport": "tcp", "address": "10.0.0.4"}
SASL = {"name": "everywhere", "username": "vmdash", "password": "open sesame"}


@pytest.fixture
def manages(administrator: User) -> Caller:
    return Caller(administrator)


def test_a_new_host_is_tested_before_anything_is_read_from_it(manages: Caller) -> None:
    answer = manages.post("/hosts", {**NEW, "site": "Zürich", "tags": ["web", "production"], "new_credential": SASL})
    assert answer.status_code == 201
    told = answer.json()
    host = Host.objects.get()
    assert (host.name, host.enabled, host.site) == ("kvm1", False, Site.objects.get(name="Zürich"))
    assert (told["uri"], told["path"], told["tags"]) == ("qemu+tcp://10.0.0.4/system", "/system", ["production", "web"])
    assert (told["credential"], told["enabled"]) == ("everywhere", False)
    job = Job.objects.get()
    assert (told["test"]["id"], job.kind, job.parameters) == (str(job.pk), "host.test", {"enable": True})
    assert host.credential is not None
    assert host.credential.password == SASL["password"]
    assert AuditEntry.objects.filter(action="host.add", target_name="kvm1", user__username="admin").exists()


def test_a_stored_credential_is_chosen_by_its_name(manages: Caller) -> None:
    stored = CredentialFactory.create(name="one")
    assert manages.post("/hosts", {**NEW, "credential": "one"}).json()["credential"] == "one"
    assert Host.objects.get().credential == stored


def test_of_a_generated_key_the_public_half_is_told_and_nothing_is_tested_yet(manages: Caller) -> None:
    told = manages.post("/hosts", {**NEW, "transport": "ssh", "new_credential": {"generate": True}}).json()
    assert told["public_key"].startswith("ssh-ed25519 AAAA")
    assert (told["test"], told["credential"]) == (None, "kvm1 SSH key")
    assert not Job.objects.exists()


def test_a_host_can_be_added_without_a_test(manages: Caller) -> None:
    told = manages.post("/hosts", {**NEW, "without_test": True}).json()
    assert (told["enabled"], told["test"]) == (True, None)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"name": "add"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"address": ""}, "address"),
        ({"address": "169.254.169.254"}, "address"),
        ({"address": "[fe80::1]"}, "address"),
        ({"address": "0xa9fea9fe"}, "address"),
        ({"migration_uri": "qemu+ssh://169.254.169.254/system"}, "migration_uri"),
        ({"migration_uri": "qemu+ext://kvm2/system?command=/bin/sh"}, "migration_uri"),
        ({"transport": "ssh", "username": "-oProxyCommand=x"}, "username"),
        ({"path": "/etc/passwd"}, "path"),
        ({"fast_interval_s": 60, "slow_interval_s": 5}, "slow_interval_s"),
        ({"credential": "no such"}, ""),
        ({"new_credential": {"username": "vmdash"}}, "new_credential.password"),
        ({"new_credential": {"generate": True}}, "credential"),
        ({"new_credential": {**SASL, "private_key": "mine"}}, ""),
        ({"transport": "ssh", "new_credential": {"private_key": "no key"}}, "new_credential.private_key"),
        ({"transport": "unix", "address": "", "new_credential": SASL}, ""),
        ({"transport": "ftp"}, "body.wish.transport"),
        ({"credential": "one", "new_credential": SASL}, ""),
        ({"port": 0}, "body.wish.port"),
        ({"known_host_key": "ssh-ed25519 AAAA"}, "body.wish.known_host_key"),
    ],
)
def test_what_the_form_refuses_is_refused_and_stores_nothing(manages: Caller, fields: Any, at: str) -> None:
    CredentialFactory.create(name="one")
    answer = manages.post("/hosts", NEW | fields)
    assert answer.status_code == 422
    problem = answer.json()
    assert at in [one["at"] for one in problem.get("errors", [{"at": ""}])], problem
    assert (Host.objects.count(), Credential.objects.count(), Job.objects.count()) == (0, 1, 0)


def test_the_name_of_another_host_or_credential_is_taken(manages: Caller) -> None:
    HostFactory.create(name="KVM1")
    CredentialFactory.create(name="everywhere")
    answer = manages.post("/hosts", {**NEW, "new_credential": SASL})
    assert [one["at"] for one in answer.json()["errors"]] == ["name", "new_credential.name"]


def test_twice_with_one_key_is_one_host_and_what_is_kept_has_no_secret(manages: Caller) -> None:
    wish, key = {**NEW, "new_credential": SASL}, {"Idempotency-Key": "7d1c"}
    first, again = (manages.post("/hosts", wish, **key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert Host.objects.count() == Job.objects.count() == 1
    assert SASL["password"] not in KeptAnswer.objects.get().answer


@pytest.mark.parametrize(
    "credential",
    [
        {"transport": "tcp", "new_credential": {**SASL, "username": ""}},
        {"transport": "tcp", "new_credential": {**SASL, "unknown": 1}},
        {"transport": "tcp", "new_credential": {**SASL, "password": "open sesame\n"}},
        {"transport": "ssh", "new_credential": {"private_key": "open sesame"}},
        {"transport": "tls", "new_credential": {"private_key": "open sesame", "certificate": "open sesame"}},
        {"transport": "tcp", "new_credential": {**SASL, "password": ["open sesame"]}},
        {"transport": "tcp", "new_credential": SASL},
    ],
)
def test_no_answer_no_error_no_trail_and_no_log_has_a_secret(
    manages: Caller, caplog: pytest.LogCaptureFixture, credential: Any
) -> None:
    with caplog.at_level(logging.DEBUG, logger="vmdash"):
        answer = manages.post("/hosts", NEW | credential)
    assert answer.status_code in (201, 422)
    assert b"sesame" not in answer.content
    assert "sesame" not in caplog.text
    assert "sesame" not in str(list(AuditEntry.objects.values()))
    assert b"sesame" not in manages.get("/hosts").content + manages.get("/credentials").content


def test_only_what_is_sent_changes(manages: Caller) -> None:
    HostFactory.create(
        name="kvm1",
        credential=CredentialFactory.create(name="one"),
        site=Site.objects.create(name="Zürich"),
        port=16510,
    )
    told = manages.send("PATCH", "/hosts/kvm1/settings", {"description": "Rack 4"}).json()
    assert (told["description"], told["site"], told["port"], told["credential"]) == ("Rack 4", "Zürich", 16510, "one")
    assert told["test"] is None
    assert not Job.objects.exists()
    told = manages.send("PATCH", "/hosts/kvm1/settings", {"port": None, "site": "", "name": "kvm9"}).json()
    assert (told["name"], told["port"], told["site"], told["description"]) == ("kvm9", None, "", "Rack 4")


def test_at_another_address_it_has_to_prove_anew_who_it_is(manages: Caller) -> None:
    host = HostFactory.create(name="kvm1", transport="ssh", known_host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA")
    assert manages.get("/hosts/kvm1/settings").json()["confirmed"].startswith("SHA256:")
    told = manages.send("PATCH", "/hosts/kvm1/settings", {"address": "10.0.0.5"}).json()
    assert (told["address"], told["confirmed"], told["test"]["kind"]) == ("10.0.0.5", "", "host.test")
    host.refresh_from_db()
    assert host.known_host_key == ""


def test_a_change_that_is_refused_changes_nothing(manages: Caller) -> None:
    host = HostFactory.create(name="kvm1", address="10.0.0.4")
    answer = manages.send("PATCH", "/hosts/kvm1/settings", {"description": "Rack 4", "address": "169.254.169.254"})
    assert answer.status_code == 422
    host.refresh_from_db()
    assert (host.address, host.description) == ("10.0.0.4", "")


def test_a_key_is_replaced_by_another_transport_with_its_own_credential(manages: Caller) -> None:
    HostFactory.create(name="kvm1", credential=CredentialFactory.create(name="one"))
    only_the_way = manages.send("PATCH", "/hosts/kvm1/settings", {"transport": "ssh"})
    assert [one["at"] for one in only_the_way.json()["errors"]] == ["credential"]
    both = {"transport": "ssh", "new_credential": {"private_key": generate_ssh_key()}}
    told = manages.send("PATCH", "/hosts/kvm1/settings", both).json()
    assert (told["transport"], told["credential"]) == ("ssh", "kvm1 SSH key")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELP_DESK, Role.OPERATOR])
def test_others_may_not(role: Role) -> None:
    HostFactory.create(name="kvm1")
    calls = Caller(UserFactory.create(role=role))
    asked = [
        calls.post("/hosts", NEW | {"name": "kvm2"}),
        calls.get("/hosts/kvm1/settings"),
        calls.send("PATCH", "/hosts/kvm1/settings", {"description": "mine"}),
    ]
    assert [answer.status_code for answer in asked] == [403, 403, 403]
    assert list(Host.objects.values_list("name", "description")) == [("kvm1", "")]


def test_a_token_to_act_manages_no_hosts(administrator: User) -> None:
    assert Caller(administrator, TokenScope.ACT).post("/hosts", NEW).status_code == 403


def test_who_manages_one_site_adds_no_host_and_takes_no_credential_of_others() -> None:
    here = Site.objects.create(name="here")
    HostFactory.create(name="kvm1", site=here)
    HostFactory.create(name="theirs", credential=CredentialFactory.create(name="secret of others"))
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.ADMINISTRATOR, scope=Scope.SITE, scope_id=str(here.pk))
    calls = Caller(person)
    assert calls.post("/hosts", NEW | {"name": "kvm2"}).status_code == 403
    assert calls.get("/hosts/theirs/settings").status_code == 404
    answer = calls.send("PATCH", "/hosts/kvm1/settings", {"address": "10.6.6.6", "credential": "secret of others"})
    assert answer.status_code == 422
    assert calls.send("PATCH", "/hosts/kvm1/settings", {"description": "Rack 4"}).status_code == 200


def test_a_credential_that_opens_hosts_of_others_too_cannot_be_sent_elsewhere() -> None:
    here = Site.objects.create(name="here")
    shared = CredentialFactory.create(name="shared")
    ours = HostFactory.create(name="kvm1", site=here, credential=shared, address="10.0.0.4")
    HostFactory.create(name="theirs", credential=shared)
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.ADMINISTRATOR, scope=Scope.SITE, scope_id=str(here.pk))
    answer = Caller(person).send("PATCH", "/hosts/kvm1/settings", {"address": "10.6.6.6"})
    assert (answer.status_code, [one["at"] for one in answer.json()["errors"]]) == (422, ["credential"])
    ours.refresh_from_db()
    assert (ours.address, ours.credential) == ("10.0.0.4", shared)
    assert not Job.objects.exists()
