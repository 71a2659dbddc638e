"""Asking for a console, as the pages do. Nothing here talks to a host."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from domains.action_types import STATE_WORDS
from domains.actions import host_obstacle
from domains.consoles import tickets
from domains.consoles.opening import CONSOLE_OPEN
from domains.consoles.tickets import Kind, Route, Target, Ticket
from domains.models import Domain, DomainState
from hosts.connect import endpoint
from vmdash.access.audit import record
from vmdash.access.bearers import Key
from vmdash.access.models import User
from vmdash.exceptions import Conflict, NotFound
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job


@dataclass(frozen=True, slots=True)
class Admission:
    """What a browser needs to connect: a token for the gateway, and the screen's password (empty: none)."""

    token: str
    kind: Kind
    guest: UUID
    password: str = ""


def why_not(domain: Domain, kind: Kind) -> str:
    """Why the guest has no such console now, in a sentence or two; empty when it has. Rights are not looked at."""
    if reason := host_obstacle(domain.host):
        return reason
    if not domain.is_active:
        return f"It {STATE_WORDS[DomainState(domain.state)]}. Start it first."
    if kind is Kind.SERIAL and not domain.has_serial:
        return "It has no serial port."
    if kind is Kind.VNC and not any(screen.get("kind") == "vnc" for screen in domain.graphics):
        return "It has no VNC screen. Its serial console may help."
    return ""


def ask_for_screen(*, domain: Domain, user: User) -> Job:
    """A job that prepares the screen for `user`; see `collect`. The caller has checked the permission.

    Raises:
        Conflict: there is no screen now, and why.
    """
    _check(domain, Kind.VNC)
    return jobs.create(
        kind=CONSOLE_OPEN,
        user=user,
        target=jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name),
        label=f"Open the screen of {domain.name}",
        virsh=f"virsh -c {endpoint(domain.host).uri()} domdisplay {domain.pk}",
    )


def collect(*, job: Job, user: User, session_key: Key) -> Admission:
    """What the job of `ask_for_screen` prepared, once. The caller has checked that the job is the user's and has ended.

    Raises:
        NotFound: it was collected already, or is too old.
    """
    opening = tickets.take_opening(job.pk)
    if opening is None:
        raise NotFound("This console was opened already, or too long ago.", hint="Open it again.")
    return _admission(user, session_key, UUID(job.target_id), Kind.VNC, opening.target, opening.password)


def open_serial(*, domain: Domain, user: User, session_key: Key, take_over: bool) -> Admission:
    """A ticket for the serial console: nothing has to be prepared on the host. The caller has checked the permission.

    Raises:
        Conflict: there is no serial console now, and why.
    """
    _check(domain, Kind.SERIAL)
    record(
        user=user,
        action=CONSOLE_OPEN.name,
        target_kind="domain",
        target_id=domain.pk,
        target_name=domain.name,
        detail=f"Open the serial console of {domain.name}" + (", taking it over" if take_over else ""),
    )
    target = Target(domain.host_id, Route.LIBVIRT, take_over=take_over)
    return _admission(user, session_key, domain.pk, Kind.SERIAL, target)


def _check(domain: Domain, kind: Kind) -> None:
    if reason := why_not(domain, kind):
        raise Conflict(f"Cannot open the {kind.words} of {domain.name}: {reason[0].lower()}{reason[1:]}")


def _admission(user: User, session_key: Key, guest: UUID, kind: Kind, target: Target, password: str = "") -> Admission:
    ticket = Ticket(user.pk, tickets.session_digest(session_key), guest, kind, target)
    return Admission(tickets.issue(ticket), kind, guest, password)
