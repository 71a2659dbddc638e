"""Who a server says it is: TLS certificates and SSH host keys, as an operator compares and confirms them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """``sha256`` as upper-case pairs with colons (as openssl and certtool print it); times are UTC.

    ``names`` are the DNS names and addresses it is made out to; for old certificates without any, the common name.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    sha256: str
    not_before: datetime
    not_after: datetime
    pem: str

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        certificate = x509.load_der_x509_certificate(der)
        return cls(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            names=_names(certificate),
            sha256=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            pem=certificate.public_bytes(Encoding.PEM).decode(),
        )


@dataclass(frozen=True, slots=True)
class HostKey:
    """``kind`` such as ``ssh-ed25519``; ``public_key`` in base64; ``sha256`` such as ``SHA256:…``, as ``ssh`` prints
    it.
    """

    kind: str
    public_key: str
    sha256: str

    @classmethod
    def from_line(cls, line: str) -> Self:
        """From ``TYPE BASE64``, or a line of known_hosts, which has the host pattern before. Raises ValueError."""
        words = line.split()
        kind, public_key = words[1:3] if len(words) > 2 and _is_kind(words[1]) else words[:2]
        digest = hashlib.sha256(base64.b64decode(public_key, validate=True)).digest()
        return cls(kind, public_key, "SHA256:" + base64.b64encode(digest).decode().rstrip("="))

    @property
    def line(self) -> str:
        """``TYPE BASE64``: what to store in ``Credentials.ssh_host_keys`` once the operator has confirmed it."""
        return f"{self.kind} {self.public_key}"


def _is_kind(word: str) -> bool:
    return word.startswith(("ssh-", "ecdsa-", "sk-"))


def parse_host_keys(text: str) -> tuple[HostKey, ...]:
    """One key a line; empty lines and comments are skipped. Raises ValueError."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(HostKey.from_line(line) for line in lines if line and not line.startswith("#"))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(attribute.value) for attribute in common)
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)
