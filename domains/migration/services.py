"""Asking for moves, for the checks before, and for the ways out of one that stalls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import redis
from django.utils import timezone

from domains.actions import cannot, host_obstacle
from domains.arrived_paused import arrived_paused_obstacle
from domains.migration import orders
from domains.migration.check_job import CHECK
from domains.migration.equivalent import virsh_command
from domains.migration.job import MIGRATE
from domains.migration.orders import ORDERS, Order
from domains.migration.plan import How
from domains.models import Domain
from domains.split_brain import split_brain_obstacle
from hosts.connect import migration_uri
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted, Unavailable
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.jobs.told import job_as_told
from vmdash.virt.migration_types import MigrationOptions

CHECK_HOLDS = timedelta(minutes=10)
"""So long the plan that a check made of the disks is taken for a move."""
MOST_TARGETS = 20
"""Checked at once."""


def request_check(*, domain: Domain, targets: Sequence[Host], user: User) -> Job:
    """Have the workers check whether the guest can move to these hosts.

    Raises NotPermitted, Conflict, InvalidInput.
    """
    _check_permitted(user, domain)
    for target in targets:
        _check_permitted(user, domain, target)
    if not 0 < len(targets) <= MOST_TARGETS:
        raise InvalidInput(f"Choose from 1 to {MOST_TARGETS} hosts.")
    if reason := host_obstacle(domain.host):
        raise Conflict(cannot(f"Check where {domain.name} can move", reason))
    return jobs.create(
        kind=CHECK,
        user=user,
        target=_target(domain),
        label=f"Check where {domain.name} can move",
        parameters={
            "source": domain.host_id,
            "targets": [host.pk for host in targets],
            "target_names": [host.name for host in targets],
        },
    )


def request_migration(
    *,
    domain: Domain,
    target: Host,
    user: User,
    options: MigrationOptions,
    remove_copied: bool = True,
    parent: Job | None = None,
) -> Job:
    """Have the guest moved to `target`, as a part of `parent`.

    Raises:
        NotPermitted: `user` may not. Conflict: it cannot move there, and why; JobInTheWay, when it is busy.
    """
    _check_permitted(user, domain)
    _check_permitted(user, domain, target)
    title = f"Move {domain.name} to {target.name}"
    if reason := _obstacle(domain, target):
        raise Conflict(cannot(title, reason))
    parameters: dict[str, Any] = {
        "source": domain.host_id,
        "source_name": domain.host.name,
        "target": target.pk,
        "target_name": target.name,
        "options": options.stored(),
        "remove_copied": remove_copied,
    }
    if (plan := _recent_plan(domain, target)) is not None:
        parameters["known_disks"] = plan
    return jobs.create(
        kind=MIGRATE,
        user=user,
        target=_target(domain),
        label=title,
        parameters=parameters,
        virsh=virsh_command(domain.name, domain.host, target, replace(options, live=domain.is_active)),
        parent=parent,
    )


def retry(*, job: Job, user: User) -> Job:
    """The same move once more, from wherever the guest is now."""
    domain = Domain.objects.visible_to(user).select_related("host").filter(pk=job.target_id).first()
    target = Host.objects.visible_to(user).filter(pk=job.parameters["target"]).first()
    if domain is None or target is None:
        label = job_as_told(job, user).label
        raise Conflict(f"“{label}” cannot be tried again: the guest or the host is not there any more.")
    return request_migration(
        domain=domain,
        target=target,
        user=user,
        options=MigrationOptions.of(job.parameters["options"]),
        remove_copied=job.parameters.get("remove_copied", True),
    )


def give_order(*, job: Job, key: str, amount: int, user: User) -> None:
    """Change a migration that runs. Its worker does so within a second, and says so in the job's log.

    Raises NotPermitted, InvalidInput, Conflict, Unavailable.
    """
    sort = ORDERS.get(key)
    if sort is None:
        raise InvalidInput("There is no such order.", hint=f"Orders: {', '.join(ORDERS)}.")
    if not can(user, Permission.MIGRATE, job.about):
        raise NotPermitted(f"You may not {Permission.MIGRATE.label}.")
    if not sort.least <= amount <= sort.most:
        raise InvalidInput(f"Give a number from {sort.least} to {sort.most}.")
    if job.kind != MIGRATE.name or job.state not in (Job.State.RUNNING, Job.State.LOST):
        raise Conflict(f"“{job_as_told(job, user).label}” cannot be changed any more: it is {job.state_words}.")
    order = Order(key, amount, user.username)
    record(
        user=user,
        action=f"domain.migrate.{key}",
        target_kind=job.target_kind,
        target_id=job.target_id,
        target_name=job.target_name,
        detail=f"{job.label}: {order.words}",
    )
    try:
        orders.give(job.pk, order)
    except redis.RedisError as error:
        raise Unavailable("The order could not be handed over: Redis does not answer.", hint="Try again.") from error


def _check_permitted(user: User, domain: Domain, target: Host | None = None) -> None:
    """Whether they may move the guest or, with `target`, move guests there. Refusals are kept. Raises NotPermitted."""
    if can(user, Permission.MIGRATE, target or domain):
        return
    record(
        user=user,
        action=MIGRATE.name,
        target_kind="domain",
        target_id=domain.pk,
        target_name=domain.name,
        refused=True,
        detail=f"to {target.name}" if target else "",
    )
    raise NotPermitted(f"You may not {Permission.MIGRATE.label}{f' to {target.name}' if target else ''}.")


def _obstacle(domain: Domain, target: Host) -> str:
    """What is in the way already by what the inventory knows."""
    if domain.host_id == target.pk:
        return f"It is on {target.name} already."
    if reason := split_brain_obstacle(domain):
        return reason
    if reason := host_obstacle(domain.host) or arrived_paused_obstacle(domain):
        return reason
    if reason := host_obstacle(target):
        return reason.replace("Its host ", "")
    if reason := maintenance_obstacle(target):
        return reason
    if domain.host.driver != target.driver:
        return f"{target.name} has another hypervisor ({target.get_driver_display()})."
    if not migration_uri(target):
        return f"Nothing leads to {target.name} from other hosts. Give it a migration URI on its page."
    return ""


def _recent_plan(domain: Domain, target: Host) -> list[dict[str, Any]] | None:
    """What the last check found about its disks, if that is fresh, the guest is still where it was, and nothing is to
    be copied: names of new volumes are chosen when they are made."""
    checks = Job.objects.filter(
        kind=CHECK.name,
        target_id=str(domain.pk),
        state=Job.State.SUCCEEDED,
        finished_at__gt=timezone.now() - CHECK_HOLDS,
    )
    for check in checks[:3]:
        found = check.result.get("targets", {}).get(str(target.pk))
        if found and check.parameters["source"] == domain.host_id:
            disks: list[dict[str, Any]] = found["disks"]
            return disks if all(disk["how"] in (How.SHARED, How.EMPTY) for disk in disks) else None
    return None


def _target(domain: Domain) -> jobs.Target:
    return jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name)
