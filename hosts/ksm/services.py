"""Asking for a host to look for equal pages harder, less hard, or not at all."""

from __future__ import annotations

from hosts.ksm.job import KSM
from hosts.models import Host
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, NotFound, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job


def change(*, host: Host, pages_to_scan: int, sleep_ms: int, user: User) -> Job:
    """`pages_to_scan` 0: it looks at none; what is merged stays merged until a guest writes to it.

    Raises NotPermitted. Conflict: it does not answer, or tells nothing of KSM.
    """
    if not can(user, Permission.MANAGE_HOSTS, host):
        raise NotPermitted(f"You may not {Permission.MANAGE_HOSTS.label}.")
    if reason := obstacle(host):
        raise Conflict(f"How {host.name} merges memory cannot be changed: {reason}")
    words = f"look at {pages_to_scan} pages every {sleep_ms} ms" if pages_to_scan else "look at no pages any more"
    return jobs.create(
        kind=KSM,
        user=user,
        target=jobs.Target(kind="host", id=str(host.pk), name=host.name, host_name=host.name),
        label=f"Have KSM on {host.name} {words}",
        parameters={"pages_to_scan": pages_to_scan, "sleep_ms": sleep_ms},
        virsh=f"virsh node-memory-tune --shm-pages-to-scan {pages_to_scan} --shm-sleep-millisecs {sleep_ms}",
    )


def obstacle(host: Host) -> str:
    """Why nothing can be changed now; empty when nothing is in the way."""
    if not host.enabled:
        return "it is disabled."
    if host.state != Host.State.UP:
        return f"it {host.get_state_display()}."
    if not host.ksm:
        return "its kernel or its libvirt has no KSM."
    return ""


def again(*, job: Job, user: User) -> Job:
    host = Host.objects.visible_to(user).filter(pk=job.target_id).first()
    if host is None:
        raise NotFound(f"{job.target_name} is not in the list any more.")
    asked = job.parameters
    return change(host=host, pages_to_scan=asked["pages_to_scan"], sleep_ms=asked["sleep_ms"], user=user)
