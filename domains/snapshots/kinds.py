"""The job kinds of snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.action_jobs import show_job
from domains.live_guest import target_of
from domains.snapshots.models import Snapshot, SnapshotKind
from domains.snapshots.work import deleting, reverting, taking
from vmdash.exceptions import NotFound
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, register

if TYPE_CHECKING:
    from vmdash.access.models import User

_DAY_S = 24 * 3600


def _take_again(job: Job, user: User) -> Job:
    from domains.snapshots import services

    given = job.parameters
    return services.take(
        domain=target_of(job),
        user=user,
        kind=SnapshotKind(given["kind"]),
        note=given["note"],
        quiesce=given["quiesce"],
    )


def _delete_again(job: Job, user: User) -> Job:
    from domains.snapshots import services

    domain = target_of(job)
    found = Snapshot.objects.filter(domain=domain, name=job.parameters["snapshot"]).first()
    if found is None:
        raise NotFound(f"{domain.name} has no snapshot {job.parameters['snapshot']} any more.")
    return services.delete(
        domain=domain,
        snapshot=found,
        user=user,
        forget=job.parameters["how"] == deleting.FORGET,
        most_bytes_per_s=job.parameters["most_bytes_per_s"],
    )


def _flatten_again(job: Job, user: User) -> Job:
    from domains.snapshots import services

    return services.flatten(domain=target_of(job), user=user, most_bytes_per_s=job.parameters["most_bytes_per_s"])


CREATE = register(
    Kind(
        name="snapshot.create",
        run=taking.run,
        reconcile=taking.reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=3600,
        on_change=show_job,
        again=_take_again,
    )
)
REVERT = register(
    Kind(
        name="snapshot.revert",
        run=reverting.run,
        reconcile=reverting.reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=3600,
        on_change=show_job,
    )
)
DELETE = register(
    Kind(
        name="snapshot.delete",
        run=deleting.run,
        reconcile=deleting.reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=_DAY_S,
        on_change=show_job,
        again=_delete_again,
    )
)
FLATTEN = register(
    Kind(
        name="snapshot.merge",
        run=deleting.run_flatten,
        reconcile=deleting.reconcile_flatten,
        exclusive=True,
        cancellable=True,
        time_limit_s=_DAY_S,
        on_change=show_job,
        again=_flatten_again,
    )
)
