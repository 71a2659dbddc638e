"""The test of a host ends within 10 s whatever the host does, and says what was found in its own words."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.conf import settings

from hosts import onboarding, trial
from hosts.models import Credential, Driver, Host, Transport
from hosts.outcome import newest_test
from tests.certificates import Authority
from tests.factories import CredentialFactory, HostFactory
from tests.libvirtd import Libvirtd
from tests.services import free_port
from tests.virt import servers
from vmdash.access.models import AuditEntry, User
from vmdash.exceptions import NotPermitted
from vmdash.jobs import services
from vmdash.jobs.execution import execute
from vmdash.jobs.models import Job
from vmdash.lab.faults import black_hole

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def libvirtd(authority: Authority) -> Iterator[Libvirtd]:
    """A real daemon with the test driver, over TCP and TLS."""
    daemon = Libvirtd(authority)
    yield daemon
    daemon.stop()


def new_host(*, port: int, transport: str = Transport.TCP, **fields: object) -> Host:
    return HostFactory.create(
        **{
            "name": "kvm1",
            "enabled": False,
            "state": Host.State.NEW,
            "driver": Driver.TEST,
            "transport": transport,
            "address": "127.0.0.1",
            "port": port,
            "path": "/default",
            **fields,
        }
    )


def run_test(host: Host, user: User | None = None, *, enable: bool = True) -> Job:
    """The job, after a worker had it: it ended in time and left nothing behind."""
    job = onboarding.request_test(host=host, user=user, enable=enable)
    began = time.monotonic()
    execute(job)
    assert time.monotonic() - began < 10
    assert not list(settings.RUNTIME_DIR.glob("test-*"))
    job.refresh_from_db()
    host.refresh_from_db()
    return job


def failure_of(host: Host) -> str:
    """The code of the error, of which the job tells in words what failed, where, and what to do."""
    job = run_test(host)
    assert job.state == Job.State.FAILED
    assert job.error.startswith("Cannot connect to kvm1: ")
    assert job.result["hint"] and job.result["hint"] in job.error
    assert not host.enabled
    return str(job.result["code"])


def test_a_host_that_answers_is_described_and_enabled(libvirtd: Libvirtd, administrator: User) -> None:
    host = new_host(port=libvirtd.port)
    job = run_test(host, administrator)
    assert job.state == Job.State.SUCCEEDED, job.error
    assert job.result["facts"]["cpus"] > 0
    assert host.enabled
    assert AuditEntry.objects.filter(action="host.enable", user=administrator, target_name="kvm1").exists()


def test_a_test_alone_enables_nothing(libvirtd: Libvirtd) -> None:
    host = new_host(port=libvirtd.port)
    assert run_test(host, enable=False).state == Job.State.SUCCEEDED
    assert not host.enabled


def test_a_wrong_address_is_told() -> None:
    assert failure_of(new_host(port=16509, address="no-such-host.invalid")) == "address_unknown"


def test_a_closed_port_is_told() -> None:
    assert failure_of(new_host(port=free_port())) == "port_closed"


def test_a_port_that_is_not_libvirt_is_told() -> None:
    with servers.server(servers.http) as port:
        assert failure_of(new_host(port=port)) == "not_libvirt"


def test_a_hung_daemon_is_told(libvirtd: Libvirtd) -> None:
    libvirtd.freeze()
    try:
        assert failure_of(new_host(port=libvirtd.port)) == "host_hung"
    finally:
        libvirtd.thaw()


def test_dropped_connection_attempts_are_told() -> None:
    with black_hole("127.0.0.1") as port:
        assert failure_of(new_host(port=port)) == "attempts_dropped"


def test_a_daemon_that_hangs_after_the_first_look_is_given_up(
    libvirtd: Libvirtd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt.open never returns then; the process that called it is ended."""
    monkeypatch.setattr(trial, "DEADLINE_S", 1)
    monkeypatch.setattr(trial, "PROGRAM", ("-c", "import time; time.sleep(600)"))
    assert failure_of(new_host(port=libvirtd.port)) == "host_hung"


def test_an_address_that_leads_to_the_metadata_service_is_refused() -> None:
    job = run_test(new_host(port=80, address="169.254.169.254"))
    assert job.state == Job.State.FAILED
    assert "link-local or metadata address" in job.error


def test_a_host_that_was_removed_meanwhile_is_told() -> None:
    host = new_host(port=1)
    job = onboarding.request_test(host=host, user=None)
    host.delete()
    execute(job)
    job.refresh_from_db()
    assert "kvm1 was removed before it could be tested" in job.error


class TestTls:
    """Certificates: known by a CA, confirmed by a person, or refused."""

    @pytest.fixture
    def client(self, authority: Authority) -> Credential:
        certificate, key = authority.issue("vmdash")
        return CredentialFactory.create(
            kind=Credential.Kind.TLS, username="", password="", certificate=certificate, private_key=key
        )

    def host(self, libvirtd: Libvirtd, credential: Credential, **fields: object) -> Host:
        return new_host(port=libvirtd.tls_port, transport=Transport.TLS, credential=credential, **fields)

    def test_a_certificate_of_the_given_ca_passes(
        self, libvirtd: Libvirtd, authority: Authority, client: Credential
    ) -> None:
        client.ca_certificate = authority.pem
        client.save()
        job = run_test(self.host(libvirtd, client))
        assert job.state == Job.State.SUCCEEDED, f"{job.error} {job.error_detail}"

    def test_a_wrong_certificate_is_told_and_cannot_be_confirmed(self, libvirtd: Libvirtd, client: Credential) -> None:
        client.ca_certificate = Authority("another CA").pem
        client.save()
        host = self.host(libvirtd, client)
        assert failure_of(host) == "certificate_untrusted"
        outcome = newest_test(host)
        assert outcome and outcome.identity and not outcome.identity.can_be_confirmed

    def test_an_unknown_certificate_passes_once_a_person_confirmed_it(
        self, libvirtd: Libvirtd, client: Credential
    ) -> None:
        host = self.host(libvirtd, client)
        assert failure_of(host) == "certificate_untrusted"
        outcome = newest_test(host)
        assert outcome and outcome.identity and outcome.identity.can_be_confirmed
        host.known_certificate = outcome.identity.certificate
        host.save()
        job = run_test(host)
        assert job.state == Job.State.SUCCEEDED, f"{job.error} {job.error_detail}"

    def test_another_certificate_than_the_confirmed_one_is_refused_loudly(
        self, libvirtd: Libvirtd, client: Credential
    ) -> None:
        before, _ = Authority("before").issue("127.0.0.1")
        host = self.host(libvirtd, client, known_certificate=before)
        assert failure_of(host) == "certificate_untrusted"
        outcome = newest_test(host)
        assert outcome and outcome.identity
        assert outcome.identity.trusted and outcome.identity.trusted != outcome.identity.fingerprint
        assert not outcome.identity.can_be_confirmed

    def test_a_certificate_for_another_name_is_told(
        self, libvirtd: Libvirtd, authority: Authority, client: Credential
    ) -> None:
        client.ca_certificate = authority.pem
        client.save()
        assert failure_of(self.host(libvirtd, client, address="localhost")) == "certificate_name_mismatch"


def test_secrets_are_not_left_in_files(libvirtd: Libvirtd) -> None:
    run_test(new_host(port=libvirtd.port, credential=CredentialFactory.create(password="sesame-of-the-test")))
    left = [file for file in settings.RUNTIME_DIR.rglob("*") if file.is_file()]
    assert not [file for file in left if "sesame-of-the-test" in file.read_text()]


def test_a_test_that_failed_is_asked_for_again(administrator: User, operator: User) -> None:
    host = HostFactory.create(name="kvm7")
    failed = onboarding.request_test(host=host, user=administrator, enable=True)
    Job.objects.filter(pk=failed.pk).update(state="failed")
    failed.refresh_from_db()
    again = services.retry(job=failed, user=administrator)
    assert (again.target_id, again.parameters, again.retry_of) == (str(host.pk), {"enable": True}, failed)
    with pytest.raises(NotPermitted):
        services.retry(job=failed, user=operator)
