"""The fleet's keys, certificates and passwords: made once, kept with its state, worth nothing elsewhere."""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SASL_USER = "vmdash"
SSH_PORT = 2222
TCP_PORT = 16509
TLS_PORT = 16514

_LIFETIME = datetime.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files below one folder; the names in it are those libvirt's `pkipath` and `authfile` expect."""

    folder: Path

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def ca_certificate(self) -> Path:
        return self.pki / "cacert.pem"

    @property
    def client_certificate(self) -> Path:
        return self.pki / "clientcert.pem"

    @property
    def client_key(self) -> Path:
        return self.pki / "clientkey.pem"

    @property
    def server_certificate(self) -> Path:
        return self.folder / "servercert.pem"

    @property
    def server_key(self) -> Path:
        return self.folder / "serverkey.pem"

    @property
    def ssh_key(self) -> Path:
        return self.folder / "ssh_key"

    @property
    def ssh_public_key(self) -> Path:
        return self.folder / "ssh_key.pub"

    @property
    def ssh_host_key(self) -> Path:
        return self.folder / "ssh_host_key"

    @property
    def ssh_host_public_key(self) -> Path:
        return self.folder / "ssh_host_key.pub"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def auth_file(self) -> Path:
        return self.folder / "auth.conf"

    @property
    def sasl_password(self) -> str:
        return (self.folder / "sasl_password").read_text()

    @property
    def vnc_password(self) -> str:
        return (self.folder / "vnc_password").read_text()


def prepare(folder: Path, *, sasl_address: str, tls_host: str, tls_address: str, ssh_address: str) -> Credentials:
    """The credentials in `folder`, made first when they are missing."""
    made = Credentials(folder)
    if made.auth_file.exists():
        return made
    made.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder / "vnc_password", secrets.token_urlsafe(6))  # VNC knows 8 characters
    _make_certificates(made, tls_host, tls_address)
    _make_ssh_key(made.ssh_key, made.ssh_public_key, "vmdash-lab-client")
    _make_ssh_key(made.ssh_host_key, made.ssh_host_public_key, "vmdash-lab-host")
    made.known_hosts.write_text(f"[{ssh_address}]:{SSH_PORT} {made.ssh_host_public_key.read_text()}")
    password = secrets.token_urlsafe(18)
    _write(folder / "sasl_password", password)
    # Last, since it marks the folder as complete.
    _write(
        made.auth_file,
        f"[credentials-lab]\nauthname={SASL_USER}\npassword={password}\n\n[auth-libvirt-{sasl_address}]\ncredentials=lab\n",
    )
    return made


def _make_certificates(made: Credentials, host: str, address: str) -> None:
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vmdash practice fleet CA")])
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    made.ca_certificate.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address(address))])
    for common_name, usage, alternatives, certificate_file, key_file in (
        (host, ExtendedKeyUsageOID.SERVER_AUTH, names, made.server_certificate, made.server_key),
        ("vmdash", ExtendedKeyUsageOID.CLIENT_AUTH, None, made.client_certificate, made.client_key),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            _certificate(subject, ca_name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(alternatives, critical=False)
        certificate_file.write_bytes(builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        _write(key_file, _pem(key, serialization.PrivateFormat.PKCS8))


def _certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,  # libvirt insists, though elliptic curves do without
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _make_ssh_key(private: Path, public: Path, comment: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    _write(private, _pem(key, serialization.PrivateFormat.OpenSSH))
    public.write_text(f"{line} {comment}\n")


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, encoding: serialization.PrivateFormat) -> str:
    return key.private_bytes(serialization.Encoding.PEM, encoding, serialization.NoEncryption()).decode()


def _write(file: Path, secret: str) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(secret)
