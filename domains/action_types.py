"""What an action on a guest is: who may ask for it, when it is possible, what it leads to."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domains.models import Domain, DomainState
from hosts.connect import endpoint
from hosts.models import Driver
from vmdash.access.roles import Permission

if TYPE_CHECKING:
    from vmdash.virt.guest import Guest

KIND_PREFIX = "domain."
"""`domain.start` is the job kind, and the name in the audit trail, of the action `start`."""

STATE_WORDS = {
    DomainState.NOSTATE: "is in a state that is not known",
    DomainState.RUNNING: "is running",
    DomainState.IDLE: "is running",
    DomainState.PAUSED: "is paused",
    DomainState.IN_SHUTDOWN: "is shutting down",
    DomainState.SHUT_OFF: "is off",
    DomainState.CRASHED: "has crashed",
    DomainState.DYING: "is ending this very moment",
    DomainState.PMSUSPENDED: "is asleep",
}

RUNNING = frozenset({DomainState.RUNNING, DomainState.IDLE})
OFF = frozenset({DomainState.SHUT_OFF, DomainState.CRASHED})
KNOWN = frozenset(DomainState) - {DomainState.NOSTATE}


def in_sentence(text: str) -> str:
    """For use inside a sentence: "Force off" → "force off"."""
    return text[:1].lower() + text[1:]


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides about actions: of the row (what the collector saw last), or of the live guest."""

    state: DomainState
    has_managed_save: bool
    persistent: bool
    autostart: bool

    @classmethod
    def in_row(cls, domain: Domain) -> Seen:
        return cls(DomainState(domain.state), domain.has_managed_save, domain.persistent, domain.autostart)

    @classmethod
    def live(cls, guest: Guest) -> Seen:
        """Five libvirt calls. Raises VirtError."""
        facts = guest.facts()
        return cls(DomainState(facts.status.state), facts.has_managed_save, facts.persistent, facts.autostart)


Goal = Callable[[Seen], bool]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done to a guest. `{name}` in a text stands for the guest's name."""

    key: str
    label: str
    """On a button: "Force off"."""
    title: str
    """Of the job: "Force off {name}"."""
    doing: str
    """While it lasts: "Forcing off"."""
    permission: Permission
    possible_in: frozenset[DomainState]
    virsh: tuple[str, ...]
    """The verb and options of the equivalent virsh command."""
    already: str = ""
    """Why it need not be done when its goal is true."""
    goal: Goal | None = None
    """Whether it has come about; None when the guest's state does not tell (a reset)."""
    gone_is_goal: bool = False
    """It has also come about when the host has no such guest any more (a transient one that ended)."""
    instead: Mapping[DomainState, str] = field(default_factory=dict)
    """What to do instead, in states in which it is not possible."""
    needs_save: bool = False
    needs_definition: bool = False
    unsupported_by: frozenset[Driver] = frozenset()
    loses: str = ""
    """What it destroys, in words. Not empty: a person confirms by typing the guest's name."""
    overtakes: frozenset[str] = frozenset()
    """Unfinished actions that this one puts an end to instead of being refused because of them."""
    time_limit_s: int = 300

    @property
    def kind_name(self) -> str:
        return KIND_PREFIX + self.key

    def titled(self, name: str) -> str:
        """The title: for one guest by its name, for several by "3 guests"."""
        return self.title.format(name=name)

    def why_not(self, seen: Seen) -> str:
        """Why a guest that is like this does not allow it, in a sentence or two; empty when it does."""
        if seen.state not in self.possible_in:
            return f"It {STATE_WORDS[seen.state]}. {self.instead.get(seen.state, '')}".rstrip()
        if self.needs_definition and not seen.persistent:
            return "It is transient: its host keeps no definition of it."
        if self.needs_save and not seen.has_managed_save:
            return "It has no saved state."
        return ""

    def has_come_about(self, seen: Seen) -> bool:
        return self.goal is not None and self.goal(seen)

    def virsh_command(self, domain: Domain) -> str:
        """For a shell. virsh takes a number for an ID and a dash for an option: then the UUID stands for the name."""
        awkward = domain.name.isdigit() or domain.name.startswith("-")
        verb, *options = self.virsh
        return shlex.join(
            ["virsh", "-c", endpoint(domain.host).uri(), verb, str(domain.uuid) if awkward else domain.name, *options]
        )
