"""What every kind of practice host offers, and how a dashboard is told of one."""

from __future__ import annotations

from typing import NotRequired, Protocol, TypedDict

from vmdash.lab.catalogue import LabHost
from vmdash.lab.layout import Lab


class CredentialEntry(TypedDict):
    """What opens a host. Keys and certificates are PEM or OpenSSH text."""

    name: str
    kind: str
    username: NotRequired[str]
    password: NotRequired[str]
    private_key: NotRequired[str]
    certificate: NotRequired[str]
    ca_certificate: NotRequired[str]


class HostEntry(TypedDict):
    """A host in the dashboard's own fields. `known_host_key` is a known_hosts line without its host pattern.

    `migration_uri` is where the other hosts reach it.
    """

    name: str
    site: str
    description: str
    tags: list[str]
    driver: str
    transport: str
    address: str
    port: int
    path: str
    username: NotRequired[str]
    known_host_key: NotRequired[str]
    migration_uri: NotRequired[str]
    credential: NotRequired[CredentialEntry]


class PracticeHost(Protocol):
    """A libvirtd with guests that this machine runs for practice."""

    @property
    def lab(self) -> Lab: ...

    @property
    def spec(self) -> LabHost: ...

    @property
    def uri(self) -> str:
        """The libvirt URI under which virsh on this machine reaches the host, from outside, as a dashboard does."""
        ...

    def start(self) -> None:
        """Bring up whatever of the host and its guests is not up. Guests may still be booting afterwards."""
        ...

    def stop(self) -> None:
        """End every process of the host, guests included. Does nothing when there is none."""
        ...

    def virsh(self, *arguments: str, timeout_s: float = 60) -> str:
        """Run virsh on the host itself, with all rights, and return its output."""
        ...

    def entry(self) -> HostEntry: ...
