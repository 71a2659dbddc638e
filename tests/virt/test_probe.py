"""Adding a host goes wrong in many ways, and each has its own message within the probe's time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.libvirtd import Libvirtd
from tests.services import free_port
from tests.virt import servers
from vmdash.exceptions import InvalidInput
from vmdash.lab.faults import black_hole
from vmdash.virt import errors
from vmdash.virt.credentials import Credentials
from vmdash.virt.errors import HostError
from vmdash.virt.probe import ProbeResult, probe
from vmdash.virt.uri import Driver, Endpoint, Transport

TIMEOUT_S = 1.0


def run(endpoint: Endpoint, credentials: Credentials | None = None) -> ProbeResult:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(probe(endpoint, credentials, runtime_dir=Path(folder), name="kvm1", timeout_s=TIMEOUT_S))


def failure(endpoint: Endpoint, credentials: Credentials | None = None) -> HostError:
    """The probe's error, which came in time and is fit to be shown."""
    began = time.monotonic()
    with pytest.raises(HostError) as caught:
        run(endpoint, credentials)
    assert time.monotonic() - began < 3 * TIMEOUT_S
    assert caught.value.message.startswith("Cannot connect to kvm1: ")
    assert caught.value.hint
    return caught.value


def tcp(port: int, address: str = "127.0.0.1") -> Endpoint:
    return Endpoint(Driver.QEMU, Transport.TCP, address, port)


def tls(port: int, address: str = "127.0.0.1") -> Endpoint:
    return Endpoint(Driver.QEMU, Transport.TLS, address, port)


def ssh(port: int) -> Endpoint:
    return Endpoint(Driver.QEMU, Transport.SSH, "127.0.0.1", port)


@contextmanager
def https(authority: Authority, *names: str, days: int = 30) -> Iterator[int]:
    """A TLS server that then waits for a request."""
    certificate, key = authority.issue(*names or ("127.0.0.1",), days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as chain:
        chain.write(certificate + key)
        chain.flush()
        context.load_cert_chain(chain.name)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as channel:
            channel.recv(4096)

    with servers.server(talk) as port:
        yield port


TRANSPORTS = pytest.mark.parametrize("endpoint", [tcp, tls, ssh])
Make = Callable[[int], Endpoint]


def test_a_daemon_that_is_well_tells_what_authentication_it_wants(daemon: Libvirtd) -> None:
    result = run(daemon.endpoint)
    assert result.auth == ("none",)
    assert 0 < result.latency_s < TIMEOUT_S


def test_an_address_that_does_not_resolve() -> None:
    assert type(failure(tcp(16509, "kvm1.invalid"))) is errors.AddressUnknown


@TRANSPORTS
def test_a_closed_port(endpoint: Make) -> None:
    assert type(failure(endpoint(free_port()))) is errors.PortClosed


@TRANSPORTS
def test_a_port_whose_connection_attempts_are_dropped(endpoint: Make) -> None:
    with black_hole("127.0.0.1") as port:
        assert type(failure(endpoint(port))) is errors.AttemptsDropped


@TRANSPORTS
def test_a_server_that_accepts_and_says_nothing(endpoint: Make) -> None:
    with servers.silent() as port:
        assert type(failure(endpoint(port))) is errors.HostHung


def test_a_daemon_that_is_stopped(daemon: Libvirtd) -> None:
    daemon.freeze()
    assert type(failure(daemon.endpoint)) is errors.HostHung
    daemon.thaw()
    assert run(daemon.endpoint).auth == ("none",)


@pytest.mark.parametrize(
    ("endpoint", "expected"), [(tcp, errors.NotLibvirt), (tls, errors.NotTls), (ssh, errors.NotSsh)]
)
@pytest.mark.parametrize("talk", [servers.http, servers.ssh_banner, lambda connection: None])
def test_a_port_where_something_else_listens(endpoint: Make, expected: type[HostError], talk: servers.Talk) -> None:
    if (endpoint, talk) == (ssh, servers.ssh_banner):
        return  # that is what it should be
    with servers.server(talk) as port:
        assert type(failure(endpoint(port))) is expected


@pytest.mark.parametrize("talk", [servers.ssh_turned_away, servers.ssh_full])
def test_an_ssh_server_that_ends_the_connection_has_not_refused_the_login(talk: servers.Talk) -> None:
    confirmed = Credentials(
        ssh_host_keys="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJwhUhgyLRq4Cz1E1uGyeNEBHXFN8DGxNn1kn3a0FGmV"
    )
    with servers.server(talk) as port:
        error = failure(ssh(port), confirmed)
    assert type(error) is errors.ConnectionFailed
    assert "too many connections" in error.message


def test_a_name_that_leads_to_an_address_nobody_may_have() -> None:
    def refuse(address: object) -> None:
        raise InvalidInput(f"{address} is refused.")

    endpoint = tcp(free_port(), "localhost")
    with pytest.raises(InvalidInput, match=r"localhost cannot be used. (127.0.0.1|::1) is refused."):
        asyncio.run(probe(endpoint, runtime_dir=Path(), name="kvm1", check_address=refuse))


def test_the_plain_port_asked_for_tls_and_the_tls_port_asked_for_plain(tls_daemon: Libvirtd) -> None:
    assert type(failure(tls(tls_daemon.port))) is errors.NotTls
    assert type(failure(tcp(tls_daemon.tls_port))) is errors.NotLibvirt


def test_a_tls_server_that_is_not_libvirt(authority: Authority, tls_credentials: Credentials) -> None:
    with https(authority) as port:
        assert type(failure(tls(port), tls_credentials)) is errors.NotLibvirt


def test_tls_that_is_well_tells_whose_certificate_it_is(tls_daemon: Libvirtd, tls_credentials: Credentials) -> None:
    result = run(tls_daemon.tls_endpoint, tls_credentials)
    assert result.auth == ("none",)
    assert result.certificate is not None
    assert result.certificate.names == ("kvm2.test", "127.0.0.1")
    assert result.certificate.sha256.count(":") == 31


def test_a_certificate_by_another_authority_is_shown_for_confirmation(
    tls_daemon: Libvirtd, tls_credentials: Credentials
) -> None:
    error = failure(tls_daemon.tls_endpoint, replace(tls_credentials, tls_ca_pem=Authority().pem))
    assert type(error) is errors.CertificateUntrusted
    assert error.certificate is not None
    assert error.certificate.subject == "CN=127.0.0.1"


def test_the_first_certificate_seen_is_shown_and_once_confirmed_is_trusted(
    tls_daemon: Libvirtd, tls_credentials: Credentials
) -> None:
    error = failure(tls_daemon.tls_endpoint)
    assert isinstance(error, errors.CertificateUntrusted)
    assert error.certificate is not None
    confirmed = replace(tls_credentials, tls_ca_pem=error.certificate.pem)
    assert run(tls_daemon.tls_endpoint, confirmed).certificate == error.certificate


def test_a_certificate_for_another_name(authority: Authority, tls_credentials: Credentials) -> None:
    with https(authority, "elsewhere.test", "192.0.2.7") as port:
        error = failure(tls(port), tls_credentials)
    assert type(error) is errors.CertificateNameMismatch
    assert "is for elsewhere.test, 192.0.2.7, not for 127.0.0.1" in error.message


def test_a_certificate_that_has_expired(authority: Authority, tls_credentials: Credentials) -> None:
    with https(authority, "127.0.0.1", days=-1) as port:
        assert type(failure(tls(port), tls_credentials)) is errors.CertificateExpired


@pytest.mark.parametrize("theirs", [True, False])
def test_a_client_certificate_the_daemon_does_not_accept(
    tls_daemon: Libvirtd, tls_credentials: Credentials, theirs: bool
) -> None:
    certificate, key = Authority("stranger").issue("vmdash") if theirs else ("", "")
    credentials = replace(tls_credentials, tls_certificate_pem=certificate, tls_key_pem=key)
    assert type(failure(tls_daemon.tls_endpoint, credentials)) is errors.ClientCertificateRejected


def test_a_key_that_does_not_belong_to_its_certificate(
    tls_daemon: Libvirtd, tls_credentials: Credentials, authority: Authority
) -> None:
    with pytest.raises(InvalidInput):
        run(tls_daemon.tls_endpoint, replace(tls_credentials, tls_key_pem=authority.issue("x")[1]))


def test_sasl_without_credentials_says_so() -> None:
    def wants_sasl(connection: socket.socket) -> None:
        connection.recv(28)
        connection.sendall(
            bytes.fromhex("00000024 20008086 00000001 00000042 00000001 00000000 00000000 00000001 00000001")
        )

    with servers.server(wants_sasl) as port:
        error = failure(tcp(port))
        assert type(error) is errors.AuthenticationFailed
        assert "none are stored" in error.message
        assert run(tcp(port), Credentials(sasl_username="vmdash", sasl_password="x")).auth == ("sasl",)


def test_a_local_daemon_whose_socket_is_missing(tmp_path: Path) -> None:
    endpoint = Endpoint(Driver.QEMU, Transport.UNIX, extra={"socket": str(tmp_path / "libvirt-sock")})
    assert type(failure(endpoint)) is errors.LibvirtMissing


def test_the_test_driver_in_this_process_needs_no_probe() -> None:
    assert run(Endpoint(Driver.TEST, Transport.UNIX)) == ProbeResult()
