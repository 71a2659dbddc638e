"""Guests as the help desk sees them: what is the matter, in plain words, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from domains.actions import ACTIONS, ActionChoice, why_not
from domains.models import Domain, DomainState
from domains.rows import guest_rows
from domains.search import parse
from vmdash.access.roles import Permission, can
from vmdash.live.messages import GuestRow

if TYPE_CHECKING:
    from vmdash.access.models import User

MOST_CARDS = 20
"""More are not looked through by eye: then the search is to be made narrower."""

_STATES = {
    DomainState.NOSTATE: "Its state is not known",
    DomainState.RUNNING: "Running",
    DomainState.IDLE: "Running",
    DomainState.PAUSED: "Paused: it stands still until it is resumed",
    DomainState.IN_SHUTDOWN: "Shutting down",
    DomainState.SHUT_OFF: "Off",
    DomainState.CRASHED: "Crashed: it is off, and did not go down by itself",
    DomainState.DYING: "Going off",
    DomainState.PMSUSPENDED: "Asleep",
}
_AGENTS = {
    Domain.Agent.NONE: "Whether it answers is not known: it has no guest agent.",
    Domain.Agent.DISCONNECTED: "Whether it answers is not known: the guest agent does not run in it. "
    "Just after a start that is normal.",
    Domain.Agent.CONNECTED: "It answers.",
    Domain.Agent.SILENT: "It does not answer: its guest agent is silent.",
}

_WHEN_TOLD = "within the last 5 minutes"
"""Agents are asked every four minutes or so (`hosts.collector.agents`)."""


@dataclass(frozen=True)
class Card:
    """One guest. `domain` has its host selected along."""

    domain: Domain
    row: GuestRow
    user: User

    @property
    def host_answers(self) -> bool:
        host = self.domain.host
        return host.enabled and host.state == host.State.UP

    @property
    def state(self) -> str:
        """In plain words, or that nobody knows."""
        if self.host_answers:
            return _STATES[DomainState(self.domain.state)]
        return f"Not known: its host {self.domain.host.name} does not answer"

    @property
    def answers(self) -> str:
        """Whether somebody is at home in a guest that runs; empty when it does not run."""
        if not self.host_answers or self.domain.state not in (DomainState.RUNNING, DomainState.IDLE):
            return ""
        return _AGENTS[Domain.Agent(self.domain.agent)]

    @property
    def is_silent(self) -> bool:
        return bool(self.answers) and self.domain.agent == Domain.Agent.SILENT

    @property
    def logged_in(self) -> str:
        """Who is, as the guest agent told; that it is unknown; empty when the guest does not run."""
        if not self.answers:
            return ""
        users = self.domain.logged_in
        if users is None:
            return "Who is logged in is not known: the guest does not tell."
        if not users:
            return f"Nobody was logged in {_WHEN_TOLD}."
        names = list(dict.fromkeys(user["name"] for user in users))
        return f"Logged in {_WHEN_TOLD}: {', '.join(names)}."

    @property
    def somebody_is_logged_in(self) -> bool:
        return bool(self.answers and self.domain.logged_in)

    def _choice(self, key: str) -> ActionChoice:
        return ActionChoice(ACTIONS[key], why_not(ACTIONS[key], self.domain, self.user))

    @cached_property
    def buttons(self) -> list[ActionChoice]:
        """Start or resume, shut down, restart: those of them that the person may ever use here."""
        first = "restore" if self.domain.has_managed_save and not self.domain.is_active else "start"
        found = [self._choice(key) for key in (first, "shutdown", "reboot")]
        return [choice for choice in found if can(self.user, choice.action.permission, self.domain)]

    @property
    def why_not(self) -> str:
        """Why none of the buttons can be pressed; empty when one can."""
        if not self.buttons or any(choice.possible for choice in self.buttons):
            return ""
        return self.buttons[0].reason

    @cached_property
    def last_resort(self) -> ActionChoice | None:
        """Forcing it off, where the grant allows it and it is possible."""
        choice = self._choice("force_off")
        return choice if choice.possible else None

    @property
    def may_see_screen(self) -> bool:
        return can(self.user, Permission.CONSOLE, self.domain)


@dataclass(frozen=True, slots=True)
class Found:
    cards: list[Card]
    total: int
    """All that match; only the first `MOST_CARDS` are cards."""

    @property
    def more(self) -> int:
        return self.total - len(self.cards)


def find(user: User, text: str) -> Found:
    """The guests that `user` may see and that match; all of them for an empty text.

    Raises:
        SearchError: the text cannot be understood.
    """
    guests = Domain.objects.visible_to(user).filter(parse(text).condition, is_template=False)
    shown = list(guests.select_related("host").prefetch_related("tags", "host__tags")[: MOST_CARDS + 1])
    total = len(shown) if len(shown) <= MOST_CARDS else guests.count()
    return Found(cards_of(shown[:MOST_CARDS], user), total)


def cards_of(guests: list[Domain], user: User) -> list[Card]:
    return [Card(guest, row, user) for guest, row in zip(guests, guest_rows(guests), strict=True)]
