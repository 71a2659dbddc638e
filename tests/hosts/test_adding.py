"""Adding a host by the form: it is stored, not yet collected from, and tested."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hosts.forms import HostForm
from hosts.keys import generate_ssh_key
from hosts.models import Credential, Host, Site
from tests.certificates import Authority
from tests.factories import CredentialFactory, HostFactory
from vmdash.access.models import AuditEntry
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

FORM = {"name": "kvm1", "driver": "qemu", "transport": "tcp", "address": "10.0.0.4", "credential": ""}


def add(browser: Client, **fields: Any) -> Any:
    return browser.post("/hosts/add/", {**FORM, **fields})


def errors_of(answer: Any) -> str:
    """What the page says is wrong; nothing was stored."""
    assert answer.status_code == 400
    assert not Host.objects.exists()
    entry = answer.context["entry"]
    return f"{entry.host_form.errors} {entry.choice.errors} {entry.credential_form.errors}"


def test_a_new_host_is_tested_before_anything_is_read_from_it(administrator_client: Client) -> None:
    answer = add(administrator_client, site="Zürich", tags="web, production web", description="Rack 4", port="16509")
    assert answer.status_code == 302
    assert answer["Location"] == "/hosts/kvm1/test/"
    host = Host.objects.get()
    assert not host.enabled
    assert (host.site, host.port, host.path) == (Site.objects.get(name="Zürich"), 16509, "/system")
    assert [tag.name for tag in host.tags.all()] == ["production", "web"]
    job = Job.objects.get()
    assert (job.kind, job.target_id, job.parameters) == ("host.test", str(host.pk), {"enable": True})
    assert job.virsh == "virsh --readonly --connect 'qemu+tcp://10.0.0.4:16509/system' nodeinfo"
    assert AuditEntry.objects.filter(action="host.add", target_name="kvm1", user__username="admin").exists()


def test_a_host_can_be_added_without_a_test(administrator_client: Client) -> None:
    assert add(administrator_client, anyway="")["Location"] == "/hosts/kvm1/"
    assert Host.objects.get().enabled
    assert not Job.objects.exists()
    assert AuditEntry.objects.filter(action="host.enable", detail="Without a test").exists()


def test_the_test_is_followed_on_its_page(administrator_client: Client) -> None:
    add(administrator_client)
    content = administrator_client.get("/hosts/kvm1/test/").content.decode()
    assert "Testing the connection." in content
    assert '<noscript><meta http-equiv="refresh"' in content


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": ""}, "required"),
        ({"name": "a/b"}, "Letters, digits"),
        ({"name": "add"}, "No host can be called"),
        ({"name": "Credentials"}, "No host can be called"),
        ({"name": "x" * 65}, "at most 64"),
        ({"address": ""}, "Give the host&#x27;s name or IP address"),
        ({"address": "kvm1/x"}, "not a host name"),
        ({"address": "169.254.169.254"}, "metadata"),
        ({"port": "0"}, "greater than or equal to 1"),
        ({"port": "65536"}, "less than or equal to 65535"),
        ({"driver": "vbox"}, "valid choice"),
        ({"transport": "ftp"}, "valid choice"),
        ({"transport": "ssh", "username": "-oProxyCommand=x"}, "not an account name"),
        ({"path": "/etc/passwd"}, "Give /system"),
        ({"tags": "a/b"}, "Letters, digits"),
        ({"fast_interval_s": "0"}, "greater than or equal to 1"),
        ({"fast_interval_s": "9", "slow_interval_s": "3"}, "more often"),
        ({"fast_interval_s": "3600"}, "more often"),
        ({"credential": "999"}, "valid choice"),
        ({"name": "a\x00b"}, "Null characters"),
    ],
)
def test_what_cannot_be_right_is_told_at_its_field(
    administrator_client: Client, fields: dict[str, str], words: str
) -> None:
    assert words in errors_of(add(administrator_client, **fields))


def test_a_name_is_taken_once_whatever_its_case(administrator_client: Client) -> None:
    HostFactory.create(name="KVM1")
    answer = add(administrator_client)
    assert answer.status_code == 400
    assert "There is a host kvm1 already" in answer.content.decode()


def test_a_new_password_is_stored_encrypted_and_never_shown(administrator_client: Client) -> None:
    fields = {"credential": "new", "new-username": "vmdash", "new-password": "sesame-open"}
    add(administrator_client, **fields)
    credential = Host.objects.get().credential
    assert credential and (credential.kind, credential.name) == ("sasl", "kvm1 SASL user and password")
    assert credential.password == "sesame-open"
    for page in (
        "/hosts/kvm1/",
        "/hosts/kvm1/edit/",
        "/hosts/kvm1/test/",
        "/hosts/credentials/",
        f"/hosts/credentials/{credential.pk}/",
    ):
        assert "sesame" not in administrator_client.get(page).content.decode()
    wrong = add(administrator_client, **{**fields, "name": "kvm2", "port": "none"})
    assert wrong.status_code == 400
    assert "sesame" not in wrong.content.decode()
    assert "sesame" not in str(list(AuditEntry.objects.values())) + str(list(Job.objects.values()))


def test_a_pasted_key_is_checked_and_kept(administrator_client: Client) -> None:
    key = generate_ssh_key()
    add(administrator_client, transport="ssh", credential="new", **{"new-private_key": key.replace("\n", "\r\n")})
    credential = Credential.objects.get()
    assert credential.private_key == key
    assert "authorized_keys" in administrator_client.get("/hosts/kvm1/test/").content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"transport": "ssh"}, "Paste the private key"),
        ({"transport": "ssh", "new-private_key": "no key"}, "not a private key"),
        ({"transport": "tcp", "new-username": "x"}, "Give the password"),
        ({"transport": "tcp", "new-password": "x"}, "Give the user name"),
        ({"transport": "tcp", "new-username": "x", "new-password": "a\nb"}, "control characters"),
        ({"transport": "tls"}, "Paste the client certificate"),
        ({"transport": "tls", "new-ca_certificate": "nonsense"}, "not a certificate"),
    ],
)
def test_a_credential_that_opens_nothing_is_refused(
    administrator_client: Client, fields: dict[str, str], words: str
) -> None:
    assert words in errors_of(add(administrator_client, credential="new", **fields))
    assert not Credential.objects.exists()


def test_a_key_must_belong_to_its_certificate(administrator_client: Client) -> None:
    authority = Authority()
    certificate, _ = authority.issue("vmdash")
    _, key = authority.issue("vmdash")
    fields = {"new-certificate": certificate, "new-private_key": key}
    answer = add(administrator_client, transport="tls", credential="new", **fields)
    assert "does not belong to this certificate" in errors_of(answer)


def test_a_generated_key_is_shown_to_be_installed_before_the_test(administrator_client: Client) -> None:
    assert add(administrator_client, transport="ssh", username="root", credential="generate").status_code == 302
    assert not Job.objects.exists()
    content = administrator_client.get("/hosts/kvm1/test/").content.decode()
    assert "ssh-ed25519 AAAA" in content
    assert "~root/.ssh/authorized_keys" in content
    assert "PRIVATE KEY" not in content


def test_a_stored_credential_can_be_chosen_if_it_fits(administrator_client: Client) -> None:
    sasl = CredentialFactory.create()
    key = CredentialFactory.create(kind=Credential.Kind.SSH_KEY, private_key=generate_ssh_key())
    assert "SASL user and password" in errors_of(add(administrator_client, credential=str(key.pk)))
    add(administrator_client, credential=str(sasl.pk))
    assert Host.objects.get().credential == sasl


def test_a_socket_of_this_machine_needs_no_address(administrator_client: Client) -> None:
    add(administrator_client, transport="unix", address="10.0.0.4", port="22")
    host = Host.objects.get()
    assert (host.address, host.port) == ("", None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={name: st.text(max_size=30) for name in HostForm.base_fields}
        | {
            "driver": st.sampled_from(["qemu", "test", "no"]),
            "transport": st.sampled_from(["ssh", "tcp", "unix", "no"]),
        },
    )
)
def test_the_form_survives_anything_and_lets_no_line_break_through(fields: dict[str, str]) -> None:
    form = HostForm({"name": "kvm1", "driver": "qemu", "transport": "tcp", "address": "kvm1", **fields})
    if form.is_valid():
        data = form.data_of()
        assert not any(
            character in f"{data.name}{data.address}{data.username}{data.path}" for character in "\n\r\0 ?#@"
        )
