"""The keys and certificates of the fleet."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from vmdash.lab import credentials
from vmdash.lab.credentials import Credentials


@pytest.fixture
def made(tmp_path: Path) -> Credentials:
    return credentials.prepare(
        tmp_path / "secrets",
        sasl_address="127.0.5.1",
        tls_host="kvm2",
        tls_address="127.0.5.2",
        ssh_address="127.0.5.3",
    )


def test_the_server_certificate_names_the_host_and_its_address(made: Credentials) -> None:
    certificate = x509.load_pem_x509_certificate(made.server_certificate.read_bytes())

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == ["kvm2"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.5.2")]


def test_server_and_client_certificates_come_from_the_private_ca(made: Credentials) -> None:
    ca = x509.load_pem_x509_certificate(made.ca_certificate.read_bytes())

    for file in (made.server_certificate, made.client_certificate):
        x509.load_pem_x509_certificate(file.read_bytes()).verify_directly_issued_by(ca)


def test_known_hosts_holds_the_hosts_key_under_its_address_and_port(made: Credentials) -> None:
    found = subprocess.run(
        ["ssh-keygen", "-F", "[127.0.5.3]:2222", "-f", made.known_hosts], capture_output=True, text=True, check=True
    ).stdout

    assert made.ssh_host_public_key.read_text().split()[1] in found


def test_only_the_owner_can_read_secrets(made: Credentials) -> None:
    for file in (made.client_key, made.server_key, made.ssh_key, made.ssh_host_key, made.auth_file):
        assert file.stat().st_mode & 0o077 == 0


def test_credentials_are_made_once(made: Credentials) -> None:
    before = {file: file.read_bytes() for file in made.folder.rglob("*") if file.is_file()}

    credentials.prepare(made.folder, sasl_address="", tls_host="", tls_address="", ssh_address="")

    assert {file: file.read_bytes() for file in made.folder.rglob("*") if file.is_file()} == before
