"""Keys and certificates that people paste or have made: read, checked, described. Nothing here stores anything."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from vmdash.exceptions import InvalidInput
from vmdash.virt.identity import HostKey, ServerCertificate


def generate_ssh_key() -> str:
    """A new Ed25519 private key in OpenSSH's format."""
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def clean_private_key(text: str) -> str:
    """The key with plain line ends and one at its end, as OpenSSH insists on.

    Raises:
        InvalidInput: it is no private key, or one that needs a passphrase.
    """
    text = text.replace("\r\n", "\n").strip() + "\n"
    _load_private_key(text)
    return text


def ssh_public_key(private_key: str, comment: str) -> str:
    """The line for `authorized_keys` that lets `private_key` in. Raises InvalidInput."""
    key = _load_private_key(private_key).public_key()
    try:
        line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (UnsupportedAlgorithm, ValueError):
        raise InvalidInput("SSH does not know this kind of key. Use an Ed25519, ECDSA or RSA key.") from None
    return f"{line} {comment}"


def clean_certificate(text: str) -> str:
    """One certificate or a chain, in PEM with plain line ends. Raises InvalidInput."""
    text = text.replace("\r\n", "\n").strip() + "\n"
    _load_certificates(text)
    return text


def check_key_fits(certificate: str, private_key: str) -> None:
    """That a certificate and a private key belong together. Raises InvalidInput."""
    ours = _load_private_key(private_key).public_key()
    theirs = _load_certificates(certificate)[0].public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if ours.public_bytes(*form) != theirs.public_bytes(*form):
        raise InvalidInput("The private key does not belong to this certificate.")


def describe_certificate(text: str) -> ServerCertificate:
    """What a person compares: the first certificate in `text`. Raises InvalidInput."""
    return ServerCertificate.from_der(_load_certificates(text)[0].public_bytes(Encoding.DER))


def clean_host_key(text: str) -> str:
    """A server's public SSH key as `TYPE BASE64`, without comment or host pattern. Raises InvalidInput."""
    words = text.split()
    if len(words) >= 2 and words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        try:
            key = base64.b64decode(words[1], validate=True)
        except ValueError:
            key = b""
        length = int.from_bytes(key[:4], "big")
        if key[4 : 4 + length] == words[0].encode():
            return f"{words[0]} {words[1]}"
    raise InvalidInput("This is not a public SSH key. It looks like: ssh-ed25519 AAAAC3Nza…")


def host_key_fingerprint(host_key: str) -> str:
    """The fingerprint of a key as `clean_host_key` returns it, as ssh-keygen prints it: `SHA256:…`."""
    return HostKey.from_line(f"host {host_key}").sha256


def _load_private_key(text: str) -> PrivateKeyTypes:
    load = load_ssh_private_key if "BEGIN OPENSSH" in text else load_pem_private_key
    try:
        return load(text.encode(), None)
    except TypeError:
        raise InvalidInput("This key is locked with a passphrase. Give one without, for vmdash alone.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput("This is not a private key in PEM or OpenSSH format.") from None


def _load_certificates(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise InvalidInput("This is not a certificate in PEM format.") from None
