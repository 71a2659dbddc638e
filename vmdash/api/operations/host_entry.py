"""Hosts are added and changed, together with what opens them."""

from typing import Any

from ninja import Field, Router, Schema, Status

from hosts.credential_forms import CREDENTIAL_KINDS, CredentialChoice
from hosts.entry import HostEntry, credentials_for, initial_values
from hosts.models import Driver, Host, Transport
from hosts.outcome import trusted_fingerprint
from hosts.pages import public_key_of, uri_of
from vmdash.access.guards import SignedInRequest, allow, allow_everywhere
from vmdash.access.roles import Permission
from vmdash.api.checked import NotAsItShouldBe
from vmdash.api.once import once
from vmdash.api.operations.credentials import Content
from vmdash.api.operations.hosts import find_host
from vmdash.api.operations.hosts import router as hosts
from vmdash.api.operations.jobs import Job
from vmdash.api.shapes import Input, Line, same_named
from vmdash.exceptions import InvalidInput
from vmdash.jobs.models import Job as JobRow
from vmdash.jobs.selectors import job_row

router = Router(tags=["hosts"])

_ENTERED = (
    "name", "description", "driver", "transport", "address", "port", "username", "path", "migration_uri",
    "fast_interval_s", "slow_interval_s",
)  # fmt: skip


class HostEntered(Schema):
    """What people entered about a host, and what follows of it."""

    name: str
    site: str
    tags: list[str]
    description: str
    driver: str
    transport: str
    address: str
    port: int | None
    username: str
    path: str
    migration_uri: str
    fast_interval_s: int | None
    slow_interval_s: int | None
    credential: str = Field(description="The name of what opens it.")
    enabled: bool
    uri: str
    public_key: str = Field(description="The line for its authorized_keys, where an SSH key opens it.")
    confirmed: str = Field(description="The fingerprint of its key or certificate that somebody compared.")

    @classmethod
    def fields_of(cls, host: Host) -> dict[str, Any]:
        return {
            **same_named(host, *_ENTERED, "enabled"),
            "site": host.site.name if host.site else "",
            "tags": [tag.name for tag in host.tags.all()],
            "credential": host.credential.name if host.credential else "",
            "uri": uri_of(host),
            "public_key": public_key_of(host),
            "confirmed": trusted_fingerprint(host),
        }


class HostSaved(HostEntered):
    test: Job | None = Field(
        description="The test that was asked for because the way to it is new; it is enabled when that passes. null "
        "with a key that was made now: install `public_key` on the host first, then have it tested."
    )


class NewCredential(Content):
    """`name` empty: called after the host."""

    generate: bool = Field(False, description="Make an SSH key; `public_key` of the answer goes to the host.")


class HostChange(Input):
    """What is left out stays as it is."""

    name: Line = Field("", description="Letters, digits, dot, dash, underscore.")
    site: Line = Field("", description="One that is not there yet is made.")
    tags: list[Line] = Field([], max_length=30)
    description: Line = ""
    driver: Driver = Driver.QEMU
    transport: Transport = Transport.SSH
    address: Line = Field("", description="Its name or IP address.")
    port: int | None = Field(None, ge=1, le=65535, description="null: the usual one.")
    username: Line = Field("", description="The account on the host, for SSH.")
    path: Line = Field("", description="Empty: /system.")
    migration_uri: Line = Field("", description="Under which other hosts reach it. Empty: as vmdash does.")
    fast_interval_s: int | None = Field(None, ge=1, le=3600)
    slow_interval_s: int | None = Field(None, ge=2, le=3600)
    credential: Line = Field("", description="The name of a stored one. Empty: none.")
    new_credential: NewCredential | None = Field(None, description="Instead of a stored one.")
    without_test: bool = Field(False, description="Begin at once to collect from it.")


class NewHost(HostChange):
    name: Line = Field(description="Letters, digits, dot, dash, underscore.")


@hosts.post("", response={201: HostSaved})
@allow_everywhere(Permission.MANAGE_HOSTS)
@once
def add_host(request: SignedInRequest, wish: NewHost) -> Status[HostSaved]:
    """Add a host, and have it tested. Nothing is read from it before the test passes."""
    entry = HostEntry(_sent(request, wish, None), user=request.user)
    return Status(201, _saved(request, entry, wish))


@router.get("/{host}/settings", response=HostEntered)
@allow(Permission.MANAGE_HOSTS)
def get_host_settings(request: SignedInRequest, host: Line) -> HostEntered:
    """What was entered about it. No secrets."""
    return HostEntered(**HostEntered.fields_of(find_host(request, host, Permission.MANAGE_HOSTS)))


@router.patch("/{host}/settings", response=HostSaved)
@allow(Permission.MANAGE_HOSTS)
def change_host(request: SignedInRequest, host: Line, wish: HostChange) -> HostSaved:
    """At another address it has to prove anew who it is, and is tested."""
    found = find_host(request, host, Permission.MANAGE_HOSTS)
    return _saved(request, HostEntry(_sent(request, wish, found), user=request.user, host=found), wish)


def _sent(request: SignedInRequest, wish: HostChange, host: Host | None) -> dict[str, Any]:
    """As the form of the page would be sent."""
    before = initial_values(host) if host else {"driver": wish.driver, "transport": wish.transport}
    told = wish.dict(exclude_unset=True, exclude={"credential", "new_credential", "without_test"})
    sent = {name: _text(value) for name, value in (before | told).items()}
    return sent | _credential(request, wish, Transport(sent["transport"]), host)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return "" if value is None else str(value)


def _credential(request: SignedInRequest, wish: HostChange, transport: Transport, host: Host | None) -> dict[str, Any]:
    new, stored = wish.new_credential, wish.credential
    if new and stored:
        raise InvalidInput("Name a stored credential or send a new one, not both.")
    if (new or stored) and transport not in CREDENTIAL_KINDS:
        raise InvalidInput(f"{transport.label} takes no credential.")
    if new:
        content = new.of_kind(CREDENTIAL_KINDS[transport])
        if new.generate and content.keys() - {"name"}:
            raise InvalidInput("Send a private key or have one made, not both.")
        chosen = CredentialChoice.GENERATE if new.generate else CredentialChoice.NEW
        return {"credential": chosen, **{f"new-{name}": value for name, value in content.items()}}
    if stored:
        found = credentials_for(request.user).filter(name=stored).first()
        if found is None:
            raise InvalidInput(f"There is no credential “{stored}” that you may choose.")
        return {"credential": str(found.pk)}
    if "credential" in wish.model_fields_set or host is None:
        return {"credential": ""}
    return {"credential": _text(host.credential_id)}


def _saved(request: SignedInRequest, entry: HostEntry, wish: HostChange) -> HostSaved:
    if not entry.is_valid():
        raise NotAsItShouldBe([("", entry.host_form), ("", entry.choice), ("new_credential", entry.credential_form)])
    host, reached_anew = entry.save(request.user)
    job: JobRow | None = entry.follow(host, reached_anew=reached_anew, anyway=wish.without_test)
    test = Job.of(job_row(job, request.user)) if job else None
    return HostSaved(**HostEntered.fields_of(host), test=test)
