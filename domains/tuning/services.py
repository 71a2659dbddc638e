"""Asking for a guest to be tuned, and for that to be undone."""

from __future__ import annotations

from dataclasses import replace

from domains.actions import cannot, host_obstacle
from domains.models import Domain
from domains.permitted import check_permitted
from domains.tuning.job import TUNE
from domains.tuning.selectors import last_tune
from domains.tuning.words import summary
from vmdash.access.models import User
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, NotFound
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.virt.xml.tuning import Tuning, Tunings, virsh_commands


def tune(*, domain: Domain, wanted: Tuning, user: User) -> Job:
    """Have the guest get this, at once and at its next start. Needs `domain.host`.

    Raises:
        NotPermitted. Conflict: nothing would change, or its host does not answer. JobInTheWay.
    """
    if not wanted:
        raise Conflict(f"Nothing would change: {domain.name} has that already.")
    return _request(domain, Tunings(wanted, wanted), user, f"Tune {domain.name}: {summary(wanted)}")


def undo(*, domain: Domain, user: User) -> Job:
    """Give it again what it had before the last time. Raises NotFound: there was none; NotPermitted, JobInTheWay."""
    job = last_tune(domain)
    if job is None or "before" not in job.parameters:
        raise NotFound(f"Nobody has tuned {domain.name} by vmdash.")
    before = Tunings.of(job.parameters["before"])
    if not before.now:  # it was off then
        before = replace(before, now=before.next)
    return _request(domain, before, user, f"Undo: {job.label}")


def again(*, job: Job, user: User) -> Job:
    domain = Domain.objects.visible_to(user).select_related("host").filter(pk=job.target_id).first()
    if domain is None:
        raise NotFound(f"{job.target_name} is not in the inventory any more.")
    return _request(domain, Tunings.of(job.parameters["after"]), user, job.label)


def _request(domain: Domain, wanted: Tunings, user: User, title: str) -> Job:
    check_permitted(user, Permission.OPERATE, domain, TUNE.name)
    if reason := host_obstacle(domain.host):
        raise Conflict(cannot(title, reason))
    return jobs.create(
        kind=TUNE,
        user=user,
        target=jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name),
        label=title,
        parameters={"after": wanted.stored()},
        virsh=virsh_of(domain, wanted),
    )


def virsh_of(domain: Domain, wanted: Tunings) -> str:
    live, persistent = domain.is_active, domain.persistent
    if wanted.now == wanted.next or not (live and persistent):
        return virsh_commands(domain.name, wanted.now if live else wanted.next, live=live, persistent=persistent)
    return "; ".join(
        (
            virsh_commands(domain.name, wanted.now, live=True, persistent=False),
            virsh_commands(domain.name, wanted.next, live=False, persistent=True),
        )
    )
