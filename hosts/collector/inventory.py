"""The interfaces through which the collector hands over what it saw.

`domains.inventory` implements the one for guests, `storage.inventory` the one for pools and volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hosts.models import Host
from vmdash.live.messages import Message
from vmdash.virt.agent import GuestUser
from vmdash.virt.guest import GuestFacts
from vmdash.virt.pool import PoolFacts
from vmdash.virt.snapshot import SnapshotFacts
from vmdash.virt.states import GuestStatus
from vmdash.virt.xml.domain import DomainDefinition, title_and_description
from vmdash.virt.xml.volume import VolumeDefinition

LIGHT_COLUMNS = (
    *("name", "enabled", "state", "state_since", "state_reason", "last_seen_at", "host_uuid", "lease_token"),
)
"""The columns of a host that are needed all the time; the others are wide."""


class AgentState(StrEnum):
    """Whether the QEMU guest agent's channel is there and answers."""

    NONE = "none"
    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class SeenDefinition:
    """What the next start uses, and `live` what runs now (the same while the guest is off)."""

    xml: str
    """The stored definition without secrets."""
    title: str
    description: str
    live: DomainDefinition

    @classmethod
    def parse(cls, stored: str, live: str) -> SeenDefinition:
        """Of what is stored no more than what is kept of it: there are many. Raises InvalidDefinition."""
        runs = DomainDefinition.parse(live)
        same = stored == live
        title, description = (runs.title, runs.description) if same else title_and_description(stored)
        return cls(stored, title, description, runs)


@dataclass(frozen=True, slots=True)
class SeenAgent:
    """`addresses` and `os_name` are None where nobody could be asked: what was known before stays."""

    state: AgentState
    addresses: tuple[str, ...] | None = None
    """Without prefix length; loopback and link-local left out."""
    os_name: str | None = None
    users: tuple[GuestUser, ...] | None = None
    """Who is logged in; None where nobody could tell, and then it is not known any more."""


@dataclass(frozen=True, slots=True)
class GuestSeen:
    """A guest on a host, as far as it was read anew: parts that are None have not changed."""

    uuid: str
    at: datetime
    status: GuestStatus
    witnessed: bool
    """We watched it change to this status; False: it may have done so any time before `at`."""
    restarted: bool = False
    """It is in the same state as before, but left it in between."""
    facts: GuestFacts | None = None
    definition: SeenDefinition | None = None
    agent: SeenAgent | None = None
    snapshots: tuple[SnapshotFacts, ...] | None = None


@dataclass(frozen=True, slots=True)
class GuestMissing:
    """The host neither defines nor runs this guest (any more)."""

    uuid: str
    at: datetime


@dataclass(frozen=True, slots=True)
class HostSwept:
    """Everything on the host was read: it has these guests and no others."""

    uuids: frozenset[str]
    at: datetime


Observation = GuestSeen | GuestMissing | HostSwept


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """A pool of a host. `at` is when its facts were read: what jobs wrote down after that is newer."""

    facts: PoolFacts
    at: datetime
    volumes: tuple[VolumeDefinition, ...] | None = None
    """Every volume it has; None: they were not read this time."""
    volumes_at: datetime | None = None
    """When the reading of the volumes began, where that was before `at`: what jobs wrote down since is newer."""
    trouble: str = ""
    """Why they could not be read."""
    witnessed: bool = True
    """The pool was read not long before, too; False: it may have changed its state any time before `at`."""


@dataclass(frozen=True, slots=True)
class PoolsSwept:
    """The host has these pools and no others. `at` is when it was asked: pools that jobs made after that are there."""

    uuids: frozenset[str]
    at: datetime
    witnessed: bool = True
    """They were read not long before, too; False: what is gone may have gone any time before `at`."""


@dataclass(frozen=True, slots=True)
class StorageSilent:
    """The host does not tell of its storage, or of the one pool of that UUID. What was known stays, and gets old."""

    words: str
    uuid: str = ""


StorageObservation = PoolSeen | PoolsSwept | StorageSilent


@dataclass(slots=True)
class Outcome:
    """What followed from writing observations down."""

    messages: list[tuple[list[str], Message]] = field(default_factory=list)
    """For browsers, with the groups they go to, once the transaction is committed."""
    wanted: set[tuple[int, str]] = field(default_factory=set)
    """(host id, guest's UUID): to be read again in full, since the guest's row now follows that host."""


class GuestInventory(Protocol):
    """Called from one thread, inside a transaction. May raise `django.db.Error`; the same is then handed over again."""

    def record(self, observations: Sequence[tuple[Host, Observation]]) -> Outcome:
        """Write down what hosts were seen to have, oldest first. Of the hosts' rows only `LIGHT_COLUMNS` are loaded."""


class StorageInventory(Protocol):
    """The same for pools and volumes, which are written by a thread of their own: they can be many."""

    def record(self, observations: Sequence[tuple[Host, StorageObservation]]) -> Outcome:
        """Write down what hosts were seen to have, oldest first."""
