"""What a drain would do with each guest of a host, and why. Made of what the database knows; asks no host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from domains.action_types import RUNNING, STATE_WORDS, Seen
from domains.actions import ACTIONS, host_obstacle, obstacle
from domains.draining.fitting import Fit, Fitting
from domains.draining.models import Fallback, How
from domains.draining.record import stopped
from domains.draining.targets import Excluded, Target, other_hosts
from domains.models import Domain, DomainState
from hosts.models import Host
from vmdash import formats

if TYPE_CHECKING:
    from vmdash.access.models import User

_MOVABLE = RUNNING | {DomainState.PAUSED, DomainState.SHUT_OFF}
MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of guests that cannot move; with `strict` a drain does not begin when there are any."""

    fallback: Fallback = Fallback.SAVE
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What is planned for one guest. `why` are sentences."""

    guest: Domain
    how: How
    why: str
    target: Host | None = None
    checked_at: datetime | None = None
    """When a check of this move found nothing in the way; None: only the inventory tells."""
    cannot_move: bool = False

    @property
    def key(self) -> list[object]:
        return [str(self.guest.pk), str(self.how), self.target.pk if self.target else None, self.guest.is_active]


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they are begun."""

    host: Host
    policy: Policy
    steps: Sequence[Step]
    targets: Sequence[Target] = ()
    excluded: Sequence[Excluded] = ()
    obstacles: Sequence[str] = field(default_factory=list)
    """Why it cannot begin at all, in sentences."""

    @property
    def mark(self) -> str:
        """Two plans with the same mark do the same."""
        text = json.dumps([self.policy.fallback, [step.key for step in self.steps]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def unchecked(self) -> int:
        """Moves that only the inventory speaks for."""
        return sum(step.how.is_move and step.checked_at is None for step in self.steps)

    def count(self, *hows: How) -> int:
        return sum(step.how in hows for step in self.steps)

    @property
    def summary(self) -> str:
        """ "5 guests move, 1 is saved, 2 stay as they are"."""
        parts: list[str] = []
        moving = self.count(How.MOVE_LIVE, How.MOVE_OFF)
        for number, one, more in (
            (moving, "moves", "move"),
            (self.count(How.SAVE), "is saved", "are saved"),
            (self.count(How.SHUTDOWN), "is shut down", "are shut down"),
            (self.count(How.RESTORE), "is restored", "are restored"),
            (self.count(How.START), "is started", "are started"),
            (self.count(How.LEAVE), "stays as it is", "stay as they are"),
        ):
            if number:
                guests = "" if parts else " guest" if number == 1 else " guests"
                parts.append(f"{number}{guests} {one if number == 1 else more}")
        return ", ".join(parts)


def plan_drain(host: Host, policy: Policy, user: User) -> Plan:
    """Large guests are placed first, each where most memory stays free; those that run before those that are off."""
    targets, excluded = other_hosts(host, user)
    guests = list(
        Domain.objects.visible_to(user)
        .filter(host=host)
        .exclude(pk__in=[record.uuid for record in stopped(host)])
        .select_related("host")
    )
    guests.sort(key=lambda guest: (not guest.is_active, -guest.max_memory_kib, guest.name))
    fitting = Fitting(guests)
    steps = [_step(guest, policy, targets, fitting) for guest in guests]
    steps.sort(key=lambda step: not step.how.is_move)  # a stable sort: what moves comes first
    obstacles = []
    if reason := host_obstacle(host, host.name):
        obstacles.append(reason)
    stuck = [step.guest.name for step in steps if step.cannot_move]
    if policy.strict and stuck:
        obstacles.append(f"{some_of(stuck)} cannot move.")
    return Plan(host, policy, steps, targets, excluded, obstacles)


def some_of(names: Sequence[str]) -> str:
    """ "a, b and 3 more"."""
    if len(names) > MOST_REASONS + 1:
        return f"{', '.join(names[:MOST_REASONS])} and {len(names) - MOST_REASONS} more"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _step(guest: Domain, policy: Policy, targets: Sequence[Target], fitting: Fitting) -> Step:
    state = DomainState(guest.state)
    if state not in _MOVABLE:
        return Step(guest, How.LEAVE, f"It {STATE_WORDS[state]}.", cannot_move=True)
    reason = fitting.stuck(guest)
    if not reason:
        chosen, reasons = choose(guest, targets, fitting)
        if chosen:
            target, fit = chosen
            memory = guest.max_memory_kib if guest.is_active else 0
            target.give(guest, memory, dict(fit.copied))
            how = How.MOVE_LIVE if guest.is_active else How.MOVE_OFF
            return Step(guest, how, why_there(guest, target, fit), target.host, fit.checked_at)
        reason = " ".join(reasons[:MOST_REASONS]) or "There is no other host for it."
    return _fall_back(guest, policy, reason)


def choose(
    guest: Domain, targets: Sequence[Target], fitting: Fitting
) -> tuple[tuple[Target, Fit] | None, Sequence[str]]:
    """The best target, or why there is none: first where nothing is copied, then where most memory stays free."""
    fits = [(target, fitting.fit(guest, target)) for target in targets]
    possible = [(target, fit) for target, fit in fits if not fit.obstacle]
    if not possible:
        return None, [fit.obstacle for _, fit in fits]
    need = guest.max_memory_kib if guest.is_active else 0

    def rank(pair: tuple[Target, Fit]) -> tuple[bool, float, int, str]:
        target, fit = pair
        share = (target.free_kib - need) / target.total_kib if target.total_kib else 0.0
        return fit.copied_disks > 0, -share, target.guests, target.host.name

    return min(possible, key=rank), []


def why_there(guest: Domain, target: Target, fit: Fit) -> str:
    """After the guest was given to the target."""
    parts: list[str] = []
    if fit.unknown:
        parts.append(f"{fit.unknown[:1].upper()}{fit.unknown[1:]}.")
    elif fit.copied_disks:
        size = formats.size(sum(fit.copied.values()))
        parts.append(f"{fit.copied_disks} disk{'s are' if fit.copied_disks > 1 else ' is'} copied, {size}.")
    else:
        parts.append("None of its disks is copied.")
    if guest.is_active and target.total_kib:
        parts.append(f"{formats.kib(target.free_kib)} of memory stay free there.")
    return " ".join(parts)


def _fall_back(guest: Domain, policy: Policy, reason: str) -> Step:
    if not guest.is_active:
        return Step(guest, How.LEAVE, f"{reason} It is off.", cannot_move=True)
    if policy.fallback == Fallback.LEAVE:
        return Step(guest, How.LEAVE, reason, cannot_move=True)
    how = How.SAVE if policy.fallback == Fallback.SAVE else How.SHUTDOWN
    action = ACTIONS[str(how)]
    why_not = obstacle(action, guest) or action.why_not(Seen.in_row(guest))
    if why_not:
        return Step(guest, How.LEAVE, reason if why_not == reason else f"{reason} {why_not}", cannot_move=True)
    return Step(guest, how, reason, cannot_move=True)
