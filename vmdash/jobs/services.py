"""Making and cancelling jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.exceptions import Conflict, InvalidInput, NotPermitted
from vmdash.jobs import registry, transitions
from vmdash.jobs.enqueue import enqueue
from vmdash.jobs.models import Job, JobLine
from vmdash.jobs.registry import Kind
from vmdash.jobs.told import job_as_told


@dataclass(frozen=True, slots=True)
class Target:
    """What a job is about."""

    kind: str
    """`domain`, `host`, `pool` or `volume`."""
    id: str
    name: str
    host_name: str = ""


class JobInTheWay(Conflict):
    """The target is being changed by another job already."""

    def __init__(self, job: Job, user: User | None) -> None:
        """`user`: who asked for another, and reads this; None for vmdash itself."""
        told = job_as_told(job, user) if user else job
        by = f", asked for by {job.requested_by_name}" if job.requested_by_name else ""
        super().__init__(
            f"{job.target_name} is busy: “{told.label}” is {job.state_words}{by}.",
            hint="Wait until it has ended, or cancel it.",
        )
        self.job = job


def create(
    *,
    kind: Kind,
    user: User | None,
    target: Target,
    label: str,
    parameters: Mapping[str, Any] | None = None,
    virsh: str = "",
    parent: Job | None = None,
    retry_of: Job | None = None,
    exclusive: bool | None = None,
) -> Job:
    """Make a job and, once the transaction is committed, hand it to the workers.

    `user` is None for what vmdash does by itself. `parameters` are JSON values without secrets. `exclusive` instead of
    the kind's: a part of a job that holds the target already is not. The caller has checked the permission.

    Raises:
        JobInTheWay: `kind` is exclusive and another such job of the target is unfinished. Conflict: it has just ended.
    """
    job = Job(
        kind=kind.name,
        label=label[:200],
        target_kind=target.kind,
        target_id=target.id,
        target_name=target.name,
        host_name=target.host_name,
        exclusive=kind.exclusive if exclusive is None else exclusive,
        requested_by=user,
        requested_by_name=user.username if user else "",
        requested_with=user.token or (parent.requested_with if parent else "") if user else "",
        parameters=dict(parameters or {}),
        virsh=virsh[:500],
        parent=parent,
        retry_of=retry_of,
    )
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            record(
                user=user,
                action=kind.name,
                target_kind=target.kind,
                target_id=target.id,
                target_name=target.name,
                detail=label,
            )
            transitions.announce(job)
            transaction.on_commit(partial(enqueue, job))
    except IntegrityError:
        if not job.exclusive:
            raise
        if other := in_the_way(target):
            raise JobInTheWay(other, user) from None
        raise Conflict(f"{target.name} was busy until this very moment.", hint="Try again.") from None
    return job


def in_the_way(target: Target) -> Job | None:
    """The unfinished job that changes the target, if there is one."""
    return Job.objects.unfinished().filter(exclusive=True, target_kind=target.kind, target_id=target.id).first()


def may_cancel(job: Job, user: User) -> bool:
    """One's own jobs may be cancelled, and everybody's by those who operate what they are about."""
    return can(user, Permission.OPERATE, job.about) or (
        job.requested_by_id == user.pk and can(user, Permission.VIEW, job.about)
    )


def cancellable_by(jobs: Collection[Job], user: User) -> set[UUID]:
    """The ids of those for which `may_cancel` says yes, of many that `user` sees; in one query at most."""
    ids = {job.pk for job in jobs}
    if not ids or can_everywhere(user, Permission.OPERATE):
        return ids
    own = {job.pk for job in jobs if job.requested_by_id == user.pk}
    if ids == own or not can(user, Permission.OPERATE):
        return own
    return own | set(Job.objects.filter(pk__in=ids - own).about(user, Permission.OPERATE).values_list("pk", flat=True))


def is_cancellable(job: Job) -> bool:
    """Whether its state and kind allow it now, and nobody has asked for it yet."""
    if job.state == Job.State.QUEUED:
        return True
    kind = registry.find(job.kind)
    begun = job.state in (Job.State.RUNNING, Job.State.LOST)
    return begun and job.cancel_requested_at is None and kind is not None and kind.cancellable


def cancel(*, job: Job, user: User | None) -> None:
    """Cancel a job: at once when it has not begun, otherwise as soon as its worker has undone what it did.

    `user` is None for vmdash itself.

    Raises:
        NotPermitted: it is somebody else's.
        Conflict: it has ended, or does what cannot be stopped half-way.
    """
    if user and not may_cancel(job, user):
        raise NotPermitted("You may not cancel other people's jobs.")
    if not (transitions.cancel_queued(job) or _cancel_begun(job)):
        label = job_as_told(job, user).label if user else job.label
        raise Conflict(f"“{label}” cannot be cancelled: it is {job.state_words}.")
    JobLine.objects.create(job=job, text=f"Cancelled by {user.username}" if user else "Cancelled")
    record(
        user=user,
        action="job.cancel",
        target_kind=job.target_kind,
        target_id=job.target_id,
        target_name=job.target_name,
        detail=job.label,
    )


def _cancel_begun(job: Job) -> bool:
    job.refresh_from_db()
    if not is_cancellable(job):
        return False
    kind = registry.get(job.kind)
    return transitions.cancelled(job) if kind.nothing_to_undo else transitions.request_cancel(job)


def may_retry(job: Job, user: User) -> bool:
    """Whether it ended without success and can be asked for again by this person: their own, or anybody's for those who
    operate the fleet. The kind checks the right to the thing itself."""
    return is_retryable(job) and may_cancel(job, user)


def is_retryable(job: Job) -> bool:
    """Whether its state and kind allow it."""
    kind = registry.find(job.kind)
    ended = job.state in (Job.State.FAILED, Job.State.CANCELLED, Job.State.RECONCILED)
    return ended and kind is not None and kind.again is not None


class ConfirmationNeeded(InvalidInput):
    """The job destroys something, and the name of what it is about was not typed as it is."""


def retry(*, job: Job, user: User, confirm: str = "") -> Job:
    """Ask for a job once more, with the checks of the first time. Returns the new one.

    Raises:
        ConfirmationNeeded: it destroys something, and `confirm` is not the name of its target.
        NotPermitted, Conflict, Unavailable …: it may not or cannot be asked for now.
    """
    kind = registry.get(job.kind)
    if kind.again is None or not may_retry(job, user):
        raise Conflict(f"“{job_as_told(job, user).label}” cannot be tried again: it is {job.state_words}.")
    if kind.loses and confirm != job.target_name:
        label = job_as_told(job, user).label
        raise ConfirmationNeeded(f"To try “{label}” again, type {job.target_name}.", hint=kind.loses)
    again = kind.again(job, user)
    Job.objects.filter(pk=again.pk).update(retry_of=job)
    again.retry_of = job
    return again
