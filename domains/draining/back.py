"""What a return would bring back: each guest of the record that is still as the drain left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domains.action_types import OFF, STATE_WORDS
from domains.actions import host_obstacle
from domains.draining.fitting import Fitting
from domains.draining.models import Drain, DrainedGuest, Fallback, How
from domains.draining.plan import Plan, Policy, Step, why_there
from domains.draining.record import away
from domains.draining.targets import Target, targets_of
from domains.models import ACTIVE_STATES, Domain, DomainState

if TYPE_CHECKING:
    from vmdash.access.models import User


def plan_return(drain: Drain, user: User) -> tuple[Plan, Sequence[DrainedGuest]]:
    """The plan, and those of the record that are not in the inventory any more."""
    host = drain.host
    records = away(drain)
    rows = Domain.objects.visible_to(user).select_related("host").in_bulk([record.uuid for record in records])
    guests = [rows[record.uuid] for record in records if record.uuid in rows]
    fitting = Fitting(guests, use_checks=False)  # they say that the host is in maintenance
    home = targets_of([host])[0]
    steps = [_step(record, rows[record.uuid], home, fitting) for record in records if record.uuid in rows]
    steps.sort(key=lambda step: not step.how.is_move)
    obstacles = [reason] if (reason := host_obstacle(host, host.name)) else []
    gone = [record for record in records if record.uuid not in rows]
    return Plan(host, Policy(Fallback(drain.fallback)), steps, obstacles=obstacles), gone


def _step(record: DrainedGuest, guest: Domain, home: Target, fitting: Fitting) -> Step:
    if How(record.how).is_move:
        return _move_back(record, guest, home, fitting)
    if guest.host_id != home.host.pk:
        return Step(guest, How.LEAVE, f"It is on {guest.host.name} now: somebody moved it.")
    if guest.state not in OFF:
        return Step(guest, How.LEAVE, f"It {STATE_WORDS[DomainState(guest.state)]} already.")
    if record.how == How.SAVE:
        if not guest.has_managed_save:
            return Step(guest, How.LEAVE, "Its saved memory is not there any more.")
        return Step(guest, How.RESTORE, "Its memory was saved when the host was drained.")
    return Step(guest, How.START, "It was shut down when the host was drained.")


def _move_back(record: DrainedGuest, guest: Domain, home: Target, fitting: Fitting) -> Step:
    host = home.host
    if guest.host_id == host.pk:
        return Step(guest, How.LEAVE, f"It is on {host.name} again already.")
    if guest.host_id != record.target_id:
        return Step(guest, How.LEAVE, f"It is on {guest.host.name} now, and was moved to {record.target_name}.")
    was_active = record.from_state in ACTIVE_STATES
    if was_active != guest.is_active:
        then = "ran" if was_active else "was off"
        return Step(
            guest, How.LEAVE, f"It {then} when the host was drained, and {STATE_WORDS[DomainState(guest.state)]} now."
        )
    if reason := host_obstacle(guest.host) or fitting.stuck(guest):
        return Step(guest, How.LEAVE, reason)
    fit = fitting.fit(guest, home)
    if fit.obstacle:
        return Step(guest, How.LEAVE, fit.obstacle)
    home.give(guest, guest.max_memory_kib if guest.is_active else 0, dict(fit.copied))
    how = How.MOVE_LIVE if guest.is_active else How.MOVE_OFF
    return Step(guest, how, why_there(guest, home, fit), host, fit.checked_at)
