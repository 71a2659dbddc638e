"""What the newest test of a host found, and what a person can do about it: for the page that follows the test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from hosts.keys import describe_certificate, host_key_fingerprint
from hosts.models import Credential, Host
from hosts.report import Report
from vmdash.jobs.models import Job

TEST_KIND = "host.test"

_KEY_FILES = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}
"""Names of OpenSSH's files of host keys, by the kind of key; the others are ECDSA keys."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A key or certificate that the host showed and that is not trusted."""

    what: str
    """In words: "SSH host key" or "certificate"."""
    fingerprint: str
    host_key: str
    """`TYPE BASE64`, or empty for a certificate."""
    certificate: str
    """PEM, or empty for a host key."""
    about: str
    """The key's kind, or whom the certificate names and who signed it."""
    command: str
    """Shows the same fingerprint when it is run on the host."""
    trusted: str
    """The fingerprint that was confirmed earlier, if one was. This one differs, so the page is loud."""
    can_be_confirmed: bool
    """It is the first one that is seen, and no CA was given to judge it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test: its job, what it reported (empty before it has), and what it wants a person to decide."""

    job: Job
    report: Report
    identity: Identity | None

    @property
    def is_running(self) -> bool:
        return self.job.state in Job.UNFINISHED

    @property
    def has_passed(self) -> bool:
        return self.job.state == Job.State.SUCCEEDED


def newest_test(host: Host) -> Outcome | None:
    """The last test somebody asked for."""
    job = Job.objects.filter(kind=TEST_KIND, target_kind="host", target_id=str(host.pk)).first()
    if job is None:
        return None
    report = cast(Report, job.result)
    return Outcome(job, report, identity_of(host, report))


def identity_of(host: Host, report: Report) -> Identity | None:
    """The key or certificate that made the test fail, unless it was about something else."""
    code = report.get("code", "")
    if code in ("host_key_unknown", "host_key_changed") and report.get("host_keys"):
        return _host_key(host, report)
    if code == "certificate_untrusted" and "certificate" in report:
        return _certificate(host, report)
    return None


def trusted_fingerprint(host: Host) -> str:
    """Of the SSH host key or certificate that a person confirmed; empty when none was."""
    if host.known_host_key:
        return host_key_fingerprint(host.known_host_key)
    return describe_certificate(host.known_certificate).sha256 if host.known_certificate else ""


def _host_key(host: Host, report: Report) -> Identity:
    key = report["host_keys"][0]
    return Identity(
        what="SSH host key",
        fingerprint=key["sha256"],
        host_key=key["key"],
        certificate="",
        about=key["kind"],
        command=f"ssh-keygen -lf /etc/ssh/ssh_host_{_KEY_FILES.get(key['kind'], 'ecdsa')}_key.pub",
        trusted=trusted_fingerprint(host),
        can_be_confirmed=not host.known_host_key,
    )


def _certificate(host: Host, report: Report) -> Identity:
    shown = report["certificate"]
    return Identity(
        what="certificate",
        fingerprint=shown["sha256"],
        host_key="",
        certificate=shown["pem"],
        about=f"{shown['subject']}, signed by {shown['issuer']}, valid until {shown['not_after'][:10]}",
        command="openssl x509 -noout -fingerprint -sha256 -in /etc/pki/libvirt/servercert.pem",
        trusted=trusted_fingerprint(host),
        can_be_confirmed=not host.known_certificate and not _has_ca(host.credential),
    )


def _has_ca(credential: Credential | None) -> bool:
    return bool(credential and credential.ca_certificate)
