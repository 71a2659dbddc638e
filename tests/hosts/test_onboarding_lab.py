"""What only real hosts can show: SSH host keys, SASL passwords, the same machine twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from hosts.keys import generate_ssh_key
from hosts.models import Host, Transport
from hosts.outcome import newest_test
from tests.factories import CredentialFactory, HostFactory
from tests.hosts.test_onboarding import run_test
from vmdash.access.models import User
from vmdash.jobs.execution import execute
from vmdash.jobs.models import Job
from vmdash.lab.host import HostEntry
from vmdash.lab.inventory import inventory
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db]

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKR10kmChs2Q3wjOxrZ29SbBCu8Xf7kuMaqw/mj/j9dt"


@pytest.fixture
def entries(lab: Lab, lab_hosts: dict[str, QemuHost]) -> dict[str, HostEntry]:
    return {entry["name"]: entry for entry in inventory(lab)}


def add(entry: HostEntry, *, known_host_key: str = "", **changed: str) -> Host:
    """The practice host as a row, disabled; `changed` are fields of its credential."""
    credential = CredentialFactory.create(**{"username": "", "password": "", **entry["credential"], **changed})
    return HostFactory.create(
        name=entry["name"],
        enabled=False,
        state=Host.State.NEW,
        transport=entry["transport"],
        address=entry["address"],
        port=entry["port"],
        username=entry.get("username", ""),
        path=entry["path"],
        credential=credential,
        known_host_key=known_host_key,
    )


@pytest.mark.parametrize("name", ["kvm1", "kvm2"])
def test_real_hosts_pass(entries: dict[str, HostEntry], name: str) -> None:
    host = add(entries[name])
    job = run_test(host)
    assert job.state == Job.State.SUCCEEDED, f"{job.error} {job.error_detail}"
    assert job.result["facts"]["hostname"] == name
    assert host.enabled


def test_a_wrong_password_is_told(entries: dict[str, HostEntry]) -> None:
    job = run_test(add(entries["kvm1"], password="wrong"))
    assert job.result["code"] == "authentication_failed"
    assert "Check the user name and the password" in job.error


def test_an_unknown_ssh_key_passes_once_an_administrator_confirmed_it(
    entries: dict[str, HostEntry], administrator: User, client_of: Callable[[User], Client]
) -> None:
    host = add(entries["kvm3"])
    assert run_test(host, administrator).result["code"] == "host_key_unknown"
    outcome = newest_test(host)
    assert outcome and outcome.identity and outcome.identity.can_be_confirmed
    browser = client_of(administrator)
    assert outcome.identity.fingerprint in browser.get("/hosts/kvm3/test/").content.decode()
    browser.post("/hosts/kvm3/trust/", {"fingerprint": outcome.identity.fingerprint})
    again = Job.objects.filter(kind="host.test").latest("created_at")
    execute(again)
    again.refresh_from_db()
    assert again.state == Job.State.SUCCEEDED, f"{again.error} {again.error_detail}"
    host.refresh_from_db()
    assert host.enabled
    assert host.known_host_key == entries["kvm3"]["known_host_key"]


def test_a_changed_ssh_key_is_refused_loudly(entries: dict[str, HostEntry]) -> None:
    host = add(entries["kvm3"], known_host_key=OTHER_KEY)
    assert run_test(host).result["code"] == "host_key_changed"
    outcome = newest_test(host)
    assert outcome and outcome.identity and outcome.identity.trusted
    assert not outcome.identity.can_be_confirmed
    assert not host.enabled


def test_an_ssh_key_that_the_host_does_not_let_in_is_told(entries: dict[str, HostEntry]) -> None:
    entry = entries["kvm3"]
    job = run_test(add(entry, known_host_key=entry["known_host_key"], private_key=generate_ssh_key()))
    assert job.result["code"] == "authentication_failed"


def test_the_same_machine_under_another_name_is_refused(entries: dict[str, HostEntry]) -> None:
    host = add(entries["kvm1"])
    uuid = run_test(host, enable=False).result["facts"]["uuid"]
    HostFactory.create(name="kvm9", transport=Transport.TCP, host_uuid=uuid)
    job = run_test(host)
    assert "kvm1 is the same machine as kvm9" in job.error
    assert not host.enabled
