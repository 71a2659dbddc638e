"""What came of trying a host, as JSON: what `hosts.reach` writes, what `Job.result` holds, what the page shows."""

from __future__ import annotations

from typing import Any, TypedDict

from vmdash.exceptions import VmdashError
from vmdash.virt.errors import CertificateRejected, HostKeyError, VirtError
from vmdash.virt.identity import HostKey, ServerCertificate


class Key(TypedDict):
    """`key` is `TYPE BASE64`, as `Host.known_host_key` has it; `sha256` as ssh-keygen prints it."""

    kind: str
    sha256: str
    key: str


class Certificate(TypedDict):
    """`sha256` as openssl and certtool print it, `pem` as `Host.known_certificate` has it; times in ISO 8601."""

    subject: str
    issuer: str
    names: list[str]
    sha256: str
    not_before: str
    not_after: str
    pem: str


class Report(TypedDict, total=False):
    """What came of it: `facts` (of `vmdash.virt.node.NodeFacts`) and `latency_ms`, or everything else."""

    facts: dict[str, Any]
    latency_ms: float
    """The time of a TCP connect, about one round trip; 0 for a UNIX socket."""
    code: str
    """`VirtError.code`, or `refused` for what never was a connection."""
    message: str
    hint: str
    detail: str
    host_keys: list[Key]
    certificate: Certificate


def report_of(error: VmdashError) -> Report:
    """An error, with what the server showed to prove who it is."""
    report = Report(
        code=error.code if isinstance(error, VirtError) else "refused",
        message=error.message,
        hint=error.hint,
        detail=error.detail,
    )
    if isinstance(error, HostKeyError):
        report["host_keys"] = [_key(key) for key in error.host_keys]
    if isinstance(error, CertificateRejected) and error.certificate:
        report["certificate"] = _certificate(error.certificate)
    return report


def _key(key: HostKey) -> Key:
    return Key(kind=key.kind, sha256=key.sha256, key=f"{key.kind} {key.public_key}")


def _certificate(certificate: ServerCertificate) -> Certificate:
    return Certificate(
        subject=certificate.subject,
        issuer=certificate.issuer,
        names=list(certificate.names),
        sha256=certificate.sha256,
        not_before=certificate.not_before.isoformat(),
        not_after=certificate.not_after.isoformat(),
        pem=certificate.pem,
    )
