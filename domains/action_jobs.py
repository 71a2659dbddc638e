"""The actions as job kinds: how a worker carries one out, and finds out whether an interrupted one came about."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import redis

from domains.action_types import OFF, STATE_WORDS, Action, Seen
from domains.actions import ACTIONS, cannot, host_obstacle, obstacle
from domains.live_guest import live, target_of
from domains.models import Domain, DomainState
from domains.rows import guest_row
from domains.services import act_again
from vmdash.exceptions import Conflict, Unavailable
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Queue, Result, register
from vmdash.live import groups
from vmdash.live.publish import publish_now
from vmdash.virt.errors import CallError, CallUnsupported, GuestNotFound, GuestNotRunning, HostError, InvalidState
from vmdash.virt.states import GuestState

if TYPE_CHECKING:
    from vmdash.virt.guest import Guest
    from vmdash.virt.xml.domain import DomainDefinition

log = logging.getLogger(__name__)

AGENT_PATIENCE_S = 30
"""How long a guest may take to go down after its agent said yes, before the power button is tried."""
BUTTON_PATIENCE_S = 20
"""After this the power button is pressed again: a guest that was still booting did not hear the first time."""
BUTTON_PRESSES = 9


def _run(action: Action, ctx: JobContext) -> Result:
    domain = target_of(ctx.job)
    if reason := obstacle(action, domain):
        raise Unavailable(cannot(ctx.job.label, reason))
    with live(domain) as (_, guest):
        seen = Seen.live(guest)
        if action.has_come_about(seen):
            ctx.log(action.already)
        elif reason := action.why_not(seen):
            raise Conflict(cannot(ctx.job.label, reason))
        else:
            try:
                _PERFORM[action.key](ctx, guest)
            except HostError as error:
                raise OutcomeUnknown(error.message) from error
    return {}


def _reconcile(action: Action, ctx: JobContext) -> Outcome:
    """What is true of the guest after the action was interrupted.

    Raises:
        Unavailable: its host cannot be asked now.
    """
    domain = target_of(ctx.job)
    if reason := host_obstacle(domain.host):
        raise Unavailable(reason)
    try:
        with live(domain) as (_, guest):
            # libvirtd goes on without us: a guest that is still being saved or started decides when that is through.
            ctx.wait_until(lambda: not _is_in_between(guest), timeout_s=action.time_limit_s)
            if action.key == "shutdown":
                ctx.wait_until(lambda: _is_off(guest), timeout_s=AGENT_PATIENCE_S + BUTTON_PATIENCE_S)
            seen = Seen.live(guest)
    except GuestNotFound as error:
        if action.gone_is_goal and not domain.persistent:
            return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but it came about: {domain.name} is gone.")
        return Outcome(Job.State.FAILED, str(error))
    state = f"{domain.name} {STATE_WORDS[seen.state]}"
    if action.goal is None:
        return Outcome(Job.State.RECONCILED, f"It was interrupted: {state}, but that may have been so before.")
    if action.goal(seen):
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but it came about: {state}.")
    return Outcome(Job.State.FAILED, f"It was interrupted before it came about: {state}. Ask for it anew.")


def _is_in_between(guest: Guest) -> bool:
    """Whether the hypervisor is at work on it: saving, restoring, starting, ending."""
    status = guest.status()
    if status.state is GuestState.DYING or status.reason in ("starting_up", "save"):
        return True
    try:
        return status.state.is_active and guest.job() is not None
    except (CallUnsupported, InvalidState):  # this driver has no such jobs; it has just ended
        return False


def _shut_down(ctx: JobContext, guest: Guest) -> None:
    """Ask the guest, by its agent and then by its power button, and wait until it is off.

    Raises:
        Conflict: it did not go.
    """
    definition = guest.definition()
    if _asked_by_agent(ctx, definition, guest.shutdown):
        ctx.phase("Waiting for the guest to shut down")
        if ctx.wait_until(lambda: _is_off(guest), timeout_s=AGENT_PATIENCE_S):
            return
    for _ in range(BUTTON_PRESSES):
        ctx.phase("Power button pressed; waiting for the guest to shut down")
        try:
            guest.shutdown(mode=_button(definition))
        except GuestNotRunning:
            return
        if ctx.wait_until(lambda: _is_off(guest), timeout_s=BUTTON_PATIENCE_S):
            return
    raise Conflict(
        f"{guest.name} did not shut down when asked to. It may still do so.",
        hint="Look at its console. If it hangs, force it off.",
    )


def _reboot(ctx: JobContext, guest: Guest) -> None:
    """Ask the guest; nothing tells when it is through."""
    definition = guest.definition()
    if not _asked_by_agent(ctx, definition, guest.reboot):
        ctx.phase("Pressing the power button, to start again when the guest is down")
        guest.reboot(mode=_button(definition))


def _asked_by_agent(ctx: JobContext, definition: DomainDefinition, ask: Callable[..., None]) -> bool:
    """Whether the guest has an agent that took the request."""
    if not definition.agent_connected:
        return False
    ctx.phase("Asking the guest agent")
    try:
        ask(mode="agent")
    except CallError as error:
        ctx.log(error.message)
        return False
    return True


def _button(definition: DomainDefinition) -> str:
    """QEMU's default would be the agent again; the others know no button, but ways of their own."""
    return "acpi" if definition.type in {"qemu", "kvm"} else ""


def _is_off(guest: Guest) -> bool:
    try:
        return DomainState(guest.status().state) in OFF
    except GuestNotFound:  # a transient one ends with its definition
        return True


_PERFORM: dict[str, Callable[[JobContext, Guest], None]] = {
    "start": lambda ctx, guest: guest.start(),
    "start_paused": lambda ctx, guest: guest.start(paused=True),
    "restore": lambda ctx, guest: guest.start(),
    "shutdown": _shut_down,
    "reboot": _reboot,
    "reset": lambda ctx, guest: guest.reset(),
    "force_off": lambda ctx, guest: guest.destroy(),
    "suspend": lambda ctx, guest: guest.suspend(),
    "resume": lambda ctx, guest: guest.resume(),
    "wake_up": lambda ctx, guest: guest.wake_up(),
    "save": lambda ctx, guest: guest.managed_save(),
    "discard_save": lambda ctx, guest: guest.managed_save_remove(),
    "autostart_on": lambda ctx, guest: guest.set_autostart(True),
    "autostart_off": lambda ctx, guest: guest.set_autostart(False),
}


def show_job(job: Job) -> None:
    """Tell pages what is being done to the guest, or no longer."""
    domain = Domain.objects.present().filter(pk=job.target_id).first()
    if domain is None:
        return
    try:
        publish_now([groups.FLEET, groups.host(domain.host_id)], {"type": "guest", "row": guest_row(domain)})
    except redis.RedisError as error:
        log.warning("Browsers are not told of %s: %s", domain.name, error)


KINDS: dict[str, Kind] = {
    action.key: register(
        Kind(
            name=action.kind_name,
            run=partial(_run, action),
            reconcile=partial(_reconcile, action),
            queue=Queue.ACTIONS,
            exclusive=True,
            cancellable=action.key == "shutdown",
            nothing_to_undo=action.key == "shutdown",
            time_limit_s=action.time_limit_s,
            on_change=show_job,
            again=lambda job, user: act_again(job=job, user=user),
            loses=action.loses,
        )
    )
    for action in ACTIONS.values()
}
"""By the action's key."""
