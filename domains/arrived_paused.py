"""Guests that were moved while paused, which QEMU before 10.0 cannot move or save once more.

libvirt has the target's QEMU take its disks over only when the guest goes on. Until then that QEMU counts them as not
its own, and an assertion ends it when it is to hand them over again: the guest's memory is lost. Resuming the guest
once, even for a moment, puts that right. No libvirt call tells whether a guest is in that state, so its history does.
"""

from __future__ import annotations

from datetime import timedelta

from domains.models import Domain, DomainState, Migration
from hosts.models import Driver, Host

FIXED_IN = (10, 0)
LATE = timedelta(minutes=1)
"""So long after the end of a move the collector may have seen it."""


def moves_once_only(host: Host) -> bool:
    """Whether a paused guest that is moved to this host is stuck there until it is resumed."""
    version = tuple(int(part) for part in host.hypervisor_version.split(".") if part.isdecimal())
    return host.driver == Driver.QEMU and version < FIXED_IN


def arrived_paused_obstacle(guest: Domain) -> str:
    """Why the guest can neither be moved nor saved now, in sentences; empty when it can. At most one query."""
    if guest.state != DomainState.PAUSED or not moves_once_only(guest.host):
        return ""
    last = guest.migrations.filter(outcome=Migration.Outcome.MOVED).first()
    if last is None or last.target_name != guest.host.name:
        return ""
    if guest.state_since > last.started_at + timedelta(milliseconds=last.duration_ms) + LATE:
        return ""  # it has been running in between
    return (
        "It was paused when it was moved here and has not run since: QEMU before 10.0 would crash, and its memory be "
        "lost. Resume it first, if only for a moment."
    )
