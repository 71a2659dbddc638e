"""Editing, disabling, enabling and removing hosts, trusting and forgetting who they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from domains.models import Domain
from hosts import announce, connect, services
from hosts.inputs import HostData
from hosts.models import Host, Transport
from tests.certificates import Authority
from tests.factories import CredentialFactory, DomainFactory, HostFactory, JobFactory, TagFactory
from vmdash.access.models import AuditEntry
from vmdash.exceptions import Conflict
from vmdash.jobs.models import Job
from vmdash.live.redis import HOSTS_CHANGED, client

pytestmark = pytest.mark.django_db

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKR10kmChs2Q3wjOxrZ29SbBCu8Xf7kuMaqw/mj/j9dt"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWig10prbw/D1xc1uRI3qso1KINg61O4gKveMKRsHKu"
FINGERPRINT = "SHA256:pNaYPBaQPXBxj/B7sk+Vhql1idbn5OlzksjppMYbrjg"


@pytest.fixture
def host() -> Host:
    return HostFactory.create(name="kvm1", transport=Transport.SSH, address="10.0.0.4", username="root")


@pytest.fixture
def heard() -> Iterator[redis.client.PubSub]:
    """What collectors listen to."""
    listener = client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(HOSTS_CHANGED)
    listener.get_message(timeout=1)
    yield listener
    listener.close()


def edit(browser: Client, **fields: Any) -> Any:
    form = {"name": "kvm1", "driver": "qemu", "transport": "ssh", "address": "10.0.0.4", "username": "root"}
    return browser.post("/hosts/kvm1/edit/", {**form, "credential": "", **fields})


def failed_test(host: Host, **report: Any) -> Job:
    return JobFactory.create(
        kind="host.test",
        target_kind="host",
        target_id=str(host.pk),
        target_name=host.name,
        host_name=host.name,
        state=Job.State.FAILED,
        exclusive=False,
        error=report.get("message", ""),
        result={"hint": "", "detail": "", "message": "", **report},
    )


def shown_key(host: Host, key: str = KEY, code: str = "host_key_unknown") -> Job:
    keys = [{"kind": "ssh-ed25519", "sha256": FINGERPRINT, "key": key}]
    return failed_test(host, code=code, message="Cannot connect to kvm1: its SSH key is not known.", host_keys=keys)


class TestEditing:
    def test_the_form_shows_what_is_stored(self, administrator_client: Client, host: Host) -> None:
        host.tags.add(TagFactory.create(name="web"))
        content = administrator_client.get("/hosts/kvm1/edit/").content.decode()
        for text in ('value="10.0.0.4"', 'value="web"', 'value="root"'):
            assert text in content

    def test_a_new_description_needs_no_test(self, administrator_client: Client, host: Host) -> None:
        answer = edit(administrator_client, description="Rack 7")
        assert answer["Location"] == "/hosts/kvm1/"
        host.refresh_from_db()
        assert host.description == "Rack 7"
        assert not Job.objects.exists()
        assert AuditEntry.objects.filter(action="host.change").exists()

    def test_a_new_address_is_tested_and_has_to_prove_who_it_is(self, administrator_client: Client, host: Host) -> None:
        Host.objects.update(known_host_key=KEY)
        assert edit(administrator_client, address="10.0.0.5")["Location"] == "/hosts/kvm1/test/"
        host.refresh_from_db()
        assert (host.address, host.known_host_key) == ("10.0.0.5", "")
        assert Job.objects.get().kind == "host.test"

    def test_another_account_keeps_the_confirmed_key(self, administrator_client: Client, host: Host) -> None:
        Host.objects.update(known_host_key=KEY)
        edit(administrator_client, username="libvirt")
        host.refresh_from_db()
        assert (host.username, host.known_host_key) == ("libvirt", KEY)
        assert Job.objects.get().kind == "host.test"

    def test_a_host_can_be_renamed_but_not_to_a_name_that_is_taken(
        self, administrator_client: Client, host: Host
    ) -> None:
        HostFactory.create(name="kvm2")
        assert edit(administrator_client, name="kvm2").status_code == 400
        assert edit(administrator_client, name="kvm3")["Location"] == "/hosts/kvm3/"

    def test_two_people_cannot_add_the_same_name_at_once(self, host: Host) -> None:
        data = HostData(name="kvm1", driver="qemu", transport="tcp", address="a", path="/system")
        with pytest.raises(Conflict, match="There is a host kvm1 already"):
            services.add_host(user=None, data=data)


class TestSwitching:
    def test_a_disabled_host_is_shown_with_the_age_of_what_is_known(
        self, administrator_client: Client, host: Host
    ) -> None:
        assert administrator_client.post("/hosts/kvm1/disable/")["Location"] == "/hosts/kvm1/"
        host.refresh_from_db()
        assert not host.enabled
        content = administrator_client.get("/hosts/kvm1/").content.decode()
        assert "kvm1 is disabled." in content
        assert "What you see is as it was" in content

    def test_switching_twice_is_noted_once(self, administrator_client: Client, host: Host) -> None:
        for _ in range(2):
            administrator_client.post("/hosts/kvm1/disable/")
        administrator_client.post("/hosts/kvm1/enable/")
        actions = AuditEntry.objects.filter(target_name="kvm1").order_by("id").values_list("action", flat=True)
        assert list(actions) == ["host.disable", "host.enable"]

    def test_collectors_are_told_after_the_commit(
        self,
        administrator_client: Client,
        host: Host,
        heard: redis.client.PubSub,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            administrator_client.post("/hosts/kvm1/disable/")
            assert heard.get_message(timeout=0.05) is None
        assert heard.get_message(timeout=2)["data"] == str(host.pk).encode()

    def test_without_redis_it_is_done_all_the_same(
        self, host: Host, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with (
            patch.object(announce, "client", side_effect=redis.ConnectionError),
            django_capture_on_commit_callbacks(execute=True),
        ):
            services.set_enabled(user=None, host=host, enabled=False)
        host.refresh_from_db()
        assert not host.enabled


class TestRemoving:
    def test_the_page_says_what_is_lost(self, administrator_client: Client, host: Host) -> None:
        guest = DomainFactory.create(host=host)
        DomainFactory.create(host=host)
        guest.tags.add(TagFactory.create())
        content = administrator_client.get("/hosts/kvm1/remove/").content.decode()
        assert "its 2 guests, 1 of which has tags" in content

    def test_it_takes_the_typed_name(self, administrator_client: Client, host: Host) -> None:
        assert administrator_client.post("/hosts/kvm1/remove/", {"name": "kvm2"}).status_code == 400
        assert administrator_client.post("/hosts/kvm1/remove/").status_code == 400
        assert Host.objects.exists()

    def test_the_host_and_its_guests_are_forgotten(
        self,
        administrator_client: Client,
        host: Host,
        heard: redis.client.PubSub,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        DomainFactory.create(host=host)
        number = str(host.pk).encode()
        with django_capture_on_commit_callbacks(execute=True):
            answer = administrator_client.post("/hosts/kvm1/remove/", {"name": "kvm1"})
        assert answer["Location"] == "/hosts/"
        assert not Host.objects.exists()
        assert not Domain.objects.exists()
        assert heard.get_message(timeout=2)["data"] == number
        assert AuditEntry.objects.filter(action="host.remove", target_name="kvm1").exists()

    def test_no_key_of_a_removed_host_is_left_in_a_file(
        self, host: Host, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        folder = connect.runtime_dir(host)
        folder.mkdir(parents=True)
        (folder / "id").write_text("a key")
        with django_capture_on_commit_callbacks(execute=True):
            services.remove_host(user=None, host=host)
        assert not folder.exists()


class TestTrusting:
    def test_a_confirmed_key_is_stored_and_tested(self, administrator_client: Client, host: Host) -> None:
        Host.objects.update(enabled=False)
        shown_key(host)
        content = administrator_client.get("/hosts/kvm1/test/").content.decode()
        assert FINGERPRINT in content
        assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in content
        administrator_client.post("/hosts/kvm1/trust/", {"fingerprint": FINGERPRINT})
        host.refresh_from_db()
        assert host.known_host_key == KEY
        assert Job.objects.unfinished().get().parameters == {"enable": True}
        assert AuditEntry.objects.filter(action="host.trust", user__username="admin").exists()

    @pytest.mark.parametrize("fingerprint", ["", "SHA256:another"])
    def test_only_what_was_shown_can_be_confirmed(
        self, administrator_client: Client, host: Host, fingerprint: str
    ) -> None:
        shown_key(host)
        administrator_client.post("/hosts/kvm1/trust/", {"fingerprint": fingerprint})
        host.refresh_from_db()
        assert host.known_host_key == ""
        assert not Job.objects.unfinished().exists()

    def test_a_changed_key_cannot_be_confirmed_without_forgetting_the_old_one(
        self, administrator_client: Client, host: Host
    ) -> None:
        Host.objects.update(known_host_key=OTHER_KEY)
        host.refresh_from_db()
        shown_key(host, code="host_key_changed")
        content = administrator_client.get("/hosts/kvm1/test/").content.decode()
        assert "somebody may sit in between" in content
        assert FINGERPRINT in content
        assert "trust it" not in content
        administrator_client.post("/hosts/kvm1/trust/", {"fingerprint": FINGERPRINT})
        host.refresh_from_db()
        assert host.known_host_key == OTHER_KEY

    def test_forgetting_leads_to_a_new_test(self, administrator_client: Client, host: Host) -> None:
        Host.objects.update(known_host_key=OTHER_KEY)
        assert administrator_client.post("/hosts/kvm1/forget/")["Location"] == "/hosts/kvm1/test/"
        host.refresh_from_db()
        assert host.known_host_key == ""
        assert Job.objects.unfinished().exists()
        assert AuditEntry.objects.filter(action="host.forget").exists()

    def test_a_certificate_that_a_ca_refuses_cannot_be_confirmed(
        self, administrator_client: Client, host: Host
    ) -> None:
        pem, _ = Authority().issue("kvm1")
        host.credential = CredentialFactory.create(kind="tls", ca_certificate=Authority().pem)
        host.save()
        shown = {"subject": "CN=kvm1", "issuer": "CN=x", "names": ["kvm1"], "sha256": "AA:BB", "pem": pem}
        times = {"not_before": "2026-01-01T00:00:00", "not_after": "2027-01-01T00:00:00"}
        failed_test(host, code="certificate_untrusted", message="Cannot connect.", certificate=shown | times)
        assert "trust it" not in administrator_client.get("/hosts/kvm1/test/").content.decode()
        administrator_client.post("/hosts/kvm1/trust/", {"fingerprint": "AA:BB"})
        host.refresh_from_db()
        assert host.known_certificate == ""

    def test_every_failure_is_shown_with_what_to_do(self, administrator_client: Client, host: Host) -> None:
        failed_test(host, code="port_closed", message="Nothing listens there.", hint="Check the port.")
        content = administrator_client.get("/hosts/kvm1/test/").content.decode()
        assert "Nothing listens there." in content
        assert "Check the port." in content
