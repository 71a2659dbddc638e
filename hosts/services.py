"""Everything that changes the inventory of hosts. Views, the import and commands call these alike.

Each service writes its audit entry in the same transaction, and tells collectors and browsers after the commit.
`user` is None for what is done on the command line.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from hosts import connect
from hosts.announce import announce_changed, announce_gone
from hosts.inputs import CredentialData, HostData
from hosts.keys import clean_certificate, clean_host_key
from hosts.models import Credential, Host, Site, Tag
from vmdash.access import audit
from vmdash.access.models import User
from vmdash.exceptions import Conflict
from vmdash.virt.credentials import forget

CONNECTION_FIELDS = ("driver", "transport", "address", "port", "username", "path")
_PLAIN_FIELDS = ("name", "description", "migration_uri", "fast_interval_s", "slow_interval_s", *CONNECTION_FIELDS)
_WRITTEN_FIELDS = (*_PLAIN_FIELDS, "site", "credential", "known_host_key", "known_certificate")
_SERVER_FIELDS = ("transport", "address", "port")
"""What decides who answers: when one of these changes, a confirmed key or certificate counts no more."""


def host_data_of(host: Host) -> HostData:
    """What people entered about a host, as it is now."""
    return HostData(
        **{field: getattr(host, field) for field in _PLAIN_FIELDS},
        site=host.site.name if host.site else "",
        tags=tuple(tag.name for tag in host.tags.all()),
    )


def credential_data_of(credential: Credential) -> CredentialData:
    """A credential's content, secrets included."""
    return CredentialData(**{field.name: getattr(credential, field.name) for field in fields(CredentialData)})


@transaction.atomic
def add_host(*, user: User | None, data: HostData, credential: Credential | None = None, enabled: bool = False) -> Host:
    """Add a host. It is not collected from before it is enabled.

    Raises:
        Conflict: a host of that name was added at the same moment.
    """
    host = Host(enabled=enabled, credential=credential)
    _write(host, data)
    _record(user, "host.add", host, detail=_where(host))
    _announce(host)
    return host


@transaction.atomic
def change_host(*, user: User | None, host: Host, data: HostData, credential: Credential | None = None) -> bool:
    """Change what people entered. Returns whether the way to reach it changed, so that it should be tested anew.

    A host that is reached at another address has to prove again who it is: what was confirmed before is forgotten.

    Raises:
        Conflict: another host got that name at the same moment.
    """
    before = {field: getattr(host, field) for field in CONNECTION_FIELDS}
    reached_anew = host.credential != credential or any(before[field] != getattr(data, field) for field in before)
    if any(before[field] != getattr(data, field) for field in _SERVER_FIELDS):
        host.known_host_key = host.known_certificate = ""
    host.credential = credential
    _write(host, data)
    _record(user, "host.change", host, detail=_where(host))
    if reached_anew:
        _forget_files(host)
    _announce(host)
    return reached_anew


@transaction.atomic
def set_enabled(*, user: User | None, host: Host, enabled: bool, detail: str = "") -> None:
    """Begin or stop to collect from a host. Doing it again changes nothing."""
    if Host.objects.filter(pk=host.pk, enabled=not enabled).update(enabled=enabled):
        host.enabled = enabled
        _record(user, "host.enable" if enabled else "host.disable", host, detail=detail)
        _announce(host)


@transaction.atomic
def remove_host(*, user: User | None, host: Host) -> None:
    """Remove a host, and the rows of the guests it has. Nothing happens to the guests themselves."""
    _record(user, "host.remove", host, detail=_where(host))
    _forget_files(host)
    transaction.on_commit(partial(announce_gone, host.pk))
    host.delete()


@transaction.atomic
def trust_server(*, user: User | None, host: Host, host_key: str = "", certificate: str = "") -> None:
    """Store the SSH host key (`TYPE BASE64`) or certificate (PEM) that a person compared and confirmed.

    Raises:
        InvalidInput: it is no key or certificate.
    """
    if host_key:
        host.known_host_key = clean_host_key(host_key)
    if certificate:
        host.known_certificate = clean_certificate(certificate)
    host.save(update_fields=["known_host_key", "known_certificate"])
    _record(user, "host.trust", host, detail=host.known_host_key or "certificate")
    _announce(host)


@transaction.atomic
def forget_server(*, user: User | None, host: Host) -> None:
    """Forget the confirmed key and certificate: whoever answers has to be confirmed anew."""
    host.known_host_key = host.known_certificate = ""
    host.save(update_fields=["known_host_key", "known_certificate"])
    _record(user, "host.forget", host)
    _announce(host)


@transaction.atomic
def add_credential(*, user: User | None, data: CredentialData) -> Credential:
    """Store a credential, encrypted.

    Raises:
        Conflict: one of that name was added at the same moment.
    """
    credential = Credential(**asdict(data))
    try:
        with transaction.atomic():
            credential.save(force_insert=True)
    except IntegrityError:
        raise Conflict(f'There is a credential "{data.name}" already.', hint="Choose it.") from None
    _record_credential(user, "credential.add", credential)
    return credential


@transaction.atomic
def change_credential(*, user: User | None, credential: Credential, data: CredentialData) -> None:
    """Replace a credential's content; the hosts that use it are opened anew."""
    for field, value in asdict(data).items():
        setattr(credential, field, value)
    credential.save()
    _record_credential(user, "credential.change", credential)
    for host in credential.hosts.all():
        _forget_files(host)
        _announce(host)


def remove_credential(*, user: User | None, credential: Credential) -> None:
    """Remove a credential that no host uses.

    Raises:
        Conflict: a host uses it.
    """
    try:
        with transaction.atomic():
            _record_credential(user, "credential.remove", credential)
            credential.delete()
    except ProtectedError:
        names = ", ".join(credential.hosts.values_list("name", flat=True))
        raise Conflict(f"{credential.name} opens {names}.", hint="Give those hosts another one first.") from None


def _write(host: Host, data: HostData) -> None:
    for field in _PLAIN_FIELDS:
        setattr(host, field, getattr(data, field))
    host.site = Site.objects.get_or_create(name=data.site)[0] if data.site else None
    try:
        with transaction.atomic():
            # Never the columns that the collector writes: it may be doing so at this moment.
            host.save(update_fields=_WRITTEN_FIELDS if host.pk else None)
    except IntegrityError:
        raise Conflict(f"There is a host {data.name} already.", hint="Choose another name.") from None
    host.tags.set([Tag.objects.get_or_create(name=name)[0] for name in data.tags])


def _where(host: Host) -> str:
    return f"{host.driver}+{host.transport} {host.address}"


def _record(user: User | None, action: str, host: Host, *, detail: str = "") -> None:
    audit.record(user=user, action=action, target_kind="host", target_id=host.pk, target_name=host.name, detail=detail)


def _record_credential(user: User | None, action: str, credential: Credential) -> None:
    audit.record(
        user=user,
        action=action,
        target_kind="credential",
        target_id=credential.pk,
        target_name=credential.name,
        detail=credential.get_kind_display(),
    )


def _forget_files(host: Host) -> None:
    """Remove the keys that were written for libvirt to read; the next one who connects writes those it needs."""
    transaction.on_commit(partial(forget, connect.runtime_dir(host)))


def _announce(host: Host) -> None:
    transaction.on_commit(partial(announce_changed, host.pk))
