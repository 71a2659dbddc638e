"""Credentials: replaced for all hosts at once, removed when nobody needs them, never shown."""

from __future__ import annotations

import pytest
from django.test import Client

from hosts.keys import clean_host_key, clean_private_key, generate_ssh_key, host_key_fingerprint, ssh_public_key
from hosts.models import Credential
from tests.factories import CredentialFactory, HostFactory
from vmdash.access.models import AuditEntry
from vmdash.exceptions import InvalidInput

LOCKED_KEY = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABC+
-----END OPENSSH PRIVATE KEY-----"""


@pytest.mark.django_db
class TestPages:
    def test_the_list_tells_what_each_opens(self, administrator_client: Client) -> None:
        HostFactory.create(name="kvm1", credential=CredentialFactory.create(name="one", password="sesame"))
        CredentialFactory.create(name="two")
        content = administrator_client.get("/hosts/credentials/").content.decode()
        for text in ("one", "two", "kvm1", "nothing"):
            assert text in content
        assert "sesame" not in content

    def test_a_password_is_replaced_for_all_its_hosts(self, administrator_client: Client) -> None:
        credential = CredentialFactory.create(name="one", password="before")
        fields = {"name": "one", "username": "vmdash", "password": "after"}
        answer = administrator_client.post(f"/hosts/credentials/{credential.pk}/", fields)
        assert answer.status_code == 302
        credential.refresh_from_db()
        assert credential.password == "after"
        entry = AuditEntry.objects.get(action="credential.change")
        assert "after" not in entry.detail

    def test_an_incomplete_replacement_changes_nothing(self, administrator_client: Client) -> None:
        credential = CredentialFactory.create(name="one", password="before")
        answer = administrator_client.post(f"/hosts/credentials/{credential.pk}/", {"name": "one", "username": "x"})
        assert answer.status_code == 400
        credential.refresh_from_db()
        assert (credential.username, credential.password) == ("vmdash", "before")

    def test_one_that_opens_a_host_stays(self, administrator_client: Client) -> None:
        used, unused = CredentialFactory.create(), CredentialFactory.create()
        HostFactory.create(name="kvm1", credential=used)
        for credential in (used, unused):
            administrator_client.post(f"/hosts/credentials/{credential.pk}/remove/")
        assert list(Credential.objects.all()) == [used]
        entry = AuditEntry.objects.get(action="credential.remove")
        assert entry.target_name == unused.name


class TestKeys:
    def test_a_generated_key_has_a_public_half(self) -> None:
        line = ssh_public_key(generate_ssh_key(), "vmdash")
        assert line.startswith("ssh-ed25519 AAAA") and line.endswith(" vmdash")
        assert host_key_fingerprint(clean_host_key(line)).startswith("SHA256:")

    @pytest.mark.parametrize("text", ["", "nonsense", LOCKED_KEY])
    def test_what_is_no_usable_key_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            clean_private_key(text)

    @pytest.mark.parametrize(
        "text", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIKR1", "kvm1 ssh-ed25519 AAAA"]
    )
    def test_what_is_no_host_key_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInput):
            clean_host_key(text)
