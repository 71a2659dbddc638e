"""Everything that can be done to a guest, and what of it is possible for whom at this moment.

Needed by pages and workers alike, so nothing here talks to a host. `action_jobs` makes job kinds of the table,
`services` asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.action_types import KIND_PREFIX, KNOWN, OFF, RUNNING, Action, Seen, in_sentence
from domains.arrived_paused import arrived_paused_obstacle
from domains.models import Domain, DomainState
from domains.split_brain import split_brain_obstacle
from hosts.maintenance import maintenance_obstacle
from hosts.models import Driver, Host
from vmdash.access.naming import without_place
from vmdash.access.roles import Permission, can
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

_RESUME = {DomainState.PAUSED: "Resume it.", DomainState.PMSUSPENDED: "Wake it up."}
_START = dict.fromkeys(OFF, "Start it.")
_POWER_CUT = "What the guest has not written to its disks yet is lost, as in a power failure."


def _off(seen: Seen) -> bool:
    return seen.state in OFF


def _running(seen: Seen) -> bool:
    return seen.state in RUNNING


ACTIONS: dict[str, Action] = {
    action.key: action
    for action in (
        Action(
            key="start",
            label="Start",
            title="Start {name}",
            doing="Starting",
            permission=Permission.POWER,
            possible_in=OFF,
            instead=_RESUME,
            virsh=("start",),
            already="It runs already.",
            goal=_running,
        ),
        Action(
            key="start_paused",
            label="Start paused",
            title="Start {name} paused",
            doing="Starting",
            permission=Permission.OPERATE,
            possible_in=OFF,
            virsh=("start", "--paused"),
            already="It is paused already.",
            goal=lambda seen: seen.state == DomainState.PAUSED,
            unsupported_by=frozenset({Driver.LXC, Driver.TEST}),
        ),
        Action(
            key="restore",
            label="Restore",
            title="Restore the saved state of {name}",
            doing="Restoring",
            permission=Permission.POWER,
            possible_in=OFF,
            needs_save=True,
            virsh=("start",),
            already="It runs already.",
            goal=_running,
            time_limit_s=1800,
        ),
        Action(
            key="shutdown",
            label="Shut down",
            title="Shut down {name}",
            doing="Shutting down",
            permission=Permission.POWER,
            possible_in=RUNNING,
            instead=_RESUME,
            virsh=("shutdown",),
            already="It is off already.",
            goal=_off,
            gone_is_goal=True,
        ),
        Action(
            key="reboot",
            label="Reboot",
            title="Reboot {name}",
            doing="Rebooting",
            permission=Permission.POWER,
            possible_in=RUNNING,
            instead=_RESUME | _START,
            virsh=("reboot",),
        ),
        Action(
            key="reset",
            label="Reset",
            title="Reset {name}",
            doing="Resetting",
            permission=Permission.FORCE,
            possible_in=RUNNING | {DomainState.PAUSED},
            instead=_START,
            virsh=("reset",),
            unsupported_by=frozenset({Driver.LXC, Driver.XEN}),
            loses=_POWER_CUT,
            overtakes=frozenset({"shutdown"}),
        ),
        Action(
            key="force_off",
            label="Force off",
            title="Force off {name}",
            doing="Forcing off",
            permission=Permission.FORCE,
            possible_in=KNOWN - {DomainState.SHUT_OFF},
            virsh=("destroy",),
            already="It is off already.",
            goal=lambda seen: seen.state == DomainState.SHUT_OFF,
            gone_is_goal=True,
            loses=_POWER_CUT,
            overtakes=frozenset({"shutdown"}),
        ),
        Action(
            key="suspend",
            label="Suspend",
            title="Suspend {name}",
            doing="Suspending",
            permission=Permission.OPERATE,
            possible_in=RUNNING,
            virsh=("suspend",),
            already="It is paused already.",
            goal=lambda seen: seen.state == DomainState.PAUSED,
        ),
        Action(
            key="resume",
            label="Resume",
            title="Resume {name}",
            doing="Resuming",
            permission=Permission.OPERATE,
            possible_in=frozenset({DomainState.PAUSED}),
            instead=_START,
            virsh=("resume",),
            already="It runs already.",
            goal=_running,
        ),
        Action(
            key="wake_up",
            label="Wake up",
            title="Wake up {name}",
            doing="Waking up",
            permission=Permission.OPERATE,
            possible_in=frozenset({DomainState.PMSUSPENDED}),
            virsh=("dompmwakeup",),
            already="It is awake already.",
            goal=_running,
        ),
        Action(
            key="save",
            label="Save and stop",
            title="Save the state of {name} and stop it",
            doing="Saving",
            permission=Permission.OPERATE,
            possible_in=RUNNING | {DomainState.PAUSED},
            needs_definition=True,
            virsh=("managedsave",),
            already="Its state is saved already.",
            goal=lambda seen: seen.state in OFF and seen.has_managed_save,
            unsupported_by=frozenset({Driver.LXC}),
            time_limit_s=1800,
        ),
        Action(
            key="discard_save",
            label="Discard saved state",
            title="Discard the saved state of {name}",
            doing="Discarding the saved state",
            permission=Permission.OPERATE,
            possible_in=KNOWN,
            needs_save=True,
            virsh=("managedsave-remove",),
            already="It has no saved state.",
            goal=lambda seen: not seen.has_managed_save,
            loses="The saved memory of the guest is lost: at its next start it boots as after a power failure.",
        ),
        Action(
            key="autostart_on",
            label="Switch on autostart",
            title="Switch on autostart of {name}",
            doing="Changing autostart",
            permission=Permission.OPERATE,
            possible_in=KNOWN,
            needs_definition=True,
            virsh=("autostart",),
            already="It starts with its host already.",
            goal=lambda seen: seen.autostart,
        ),
        Action(
            key="autostart_off",
            label="Switch off autostart",
            title="Switch off autostart of {name}",
            doing="Changing autostart",
            permission=Permission.OPERATE,
            possible_in=KNOWN,
            needs_definition=True,
            virsh=("autostart", "--disable"),
            already="It does not start with its host.",
            goal=lambda seen: not seen.autostart,
        ),
    )
}
"""By key, in the order in which pages list them."""

_STARTS = frozenset({"start", "start_paused", "restore"})
_NEVER_TWICE = _STARTS | {"resume", "wake_up"}
_NEVER_OF_TEMPLATES = _STARTS | {"resume", "wake_up", "autostart_on"}


@dataclass(frozen=True, slots=True)
class ActionChoice:
    """One action as a page offers it."""

    action: Action
    reason: str
    """Why it is not possible now, in words; empty when it is."""

    @property
    def possible(self) -> bool:
        return not self.reason


def possible(domain: Domain, user: User | AnonymousUser) -> list[ActionChoice]:
    """Every action, in the order of the table, with the reason where one is not possible. Needs `domain.host`."""
    return [ActionChoice(action, why_not(action, domain, user)) for action in ACTIONS.values()]


def why_not(action: Action, domain: Domain, user: User | AnonymousUser) -> str:
    """Why `user` cannot do this to the guest now, as far as the collector saw it; empty when nothing is in the way."""
    if not can(user, action.permission, domain):
        return f"You may not {action.permission.label}."
    seen = Seen.in_row(domain)
    return obstacle(action, domain) or (action.already if action.has_come_about(seen) else action.why_not(seen))


def obstacle(action: Action, domain: Domain) -> str:
    """What is in the way whatever state the guest is in: its host, or that it runs twice."""
    if reason := host_obstacle(domain.host):
        return reason
    if domain.host.driver in action.unsupported_by:
        return f"Hosts with the driver {domain.host.get_driver_display()} do not offer it."
    if action.key in _STARTS and (reason := maintenance_obstacle(domain.host)):
        return f"Its host {reason}"
    if action.key == "save" and (reason := arrived_paused_obstacle(domain)):
        return reason
    if action.key in _NEVER_TWICE and (reason := split_brain_obstacle(domain)):
        return reason
    if domain.is_template and action.key in _NEVER_OF_TEMPLATES:
        return "It is a template, there to be cloned: what it wrote would destroy its clones. Clone it instead."
    return ""


def host_obstacle(host: Host, who: str = "") -> str:
    """Why nothing can be asked of the host now, as the collector sees it. The sentence is about `who`; without, about
    a guest's host, by its name."""
    who = who or f"Its host {host.name}"
    if not host.enabled:
        return f"{who} is disabled."
    if host.state != Host.State.UP:
        return f"{who} {_HOST_WORDS[Host.State(host.state)]}."
    return ""


def cannot(title: str, reason: str) -> str:
    """("Start web1", "It is paused.") → "Cannot start web1: it is paused." """
    return f"Cannot {in_sentence(title)}: {in_sentence(reason)}"


_HOST_WORDS = {
    Host.State.NEW: "has not been seen yet",
    Host.State.UNREACHABLE: "does not answer",
    Host.State.REFUSED: "refuses the connection",
}


def current_jobs(uuids: Iterable[object]) -> dict[str, str]:
    """What is being done to guests at this moment ("Starting"), by UUID: in words for all who see the guest, so without
    names of hosts. One query."""
    jobs = Job.objects.unfinished().filter(
        target_kind="domain", target_id__in=[str(uuid) for uuid in uuids], exclusive=True
    )
    shown = jobs.only("target_kind", "target_id", "kind", "label", "host_name", "parameters")
    return {job.target_id: _doing(job) for job in shown}


def _doing(job: Job) -> str:
    action = ACTIONS.get(job.kind.removeprefix(KIND_PREFIX))
    return action.doing if action else without_place(job.label, job.named_hosts)
