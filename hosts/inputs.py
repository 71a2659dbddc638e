"""What people enter about a host and its credentials, as values that have passed every check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HostData:
    """The upper half of a `Host`, as `hosts.forms.HostForm` makes it."""

    name: str
    site: str = ""
    """The site's name; one that does not exist yet is made."""
    tags: tuple[str, ...] = ()
    description: str = ""
    driver: str
    transport: str
    address: str = ""
    port: int | None = None
    username: str = ""
    path: str
    migration_uri: str = ""
    fast_interval_s: int | None = None
    slow_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialData:
    """A credential's content, as `hosts.forms.CredentialForm` makes it. Its repr hides the secrets."""

    name: str
    kind: str
    username: str = ""
    password: str = ""
    private_key: str = ""
    certificate: str = ""
    ca_certificate: str = ""

    def __repr__(self) -> str:
        return f"CredentialData(name={self.name!r}, kind={self.kind!r}, …)"
