"""`domain.clone_many`: several clones of one guest. The source is kept still once, and each clone is a job of its own.

The parent's threads work on the parts themselves, so they go on however busy the workers are; a worker that is free may
take one, too.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

from domains.action_jobs import show_job
from domains.cloning import making, source
from domains.cloning.jobs import CLONE_KIND, PART_OF_MANY, TIME_LIMIT_S, again, source_of
from domains.cloning.making import Clone
from domains.cloning.source import FROZEN
from vmdash.exceptions import Conflict, Unavailable
from vmdash.jobs import execution, services
from vmdash.jobs.context import STOPPING, Cancelled, JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import HostError

log = logging.getLogger(__name__)

MANY = "domain.clone_many"
POLL_S = 0.3


def _run(ctx: JobContext) -> Result:
    domain = source_of(ctx.job)
    specs = ctx.job.parameters["clones"]
    try:
        found = source.read(domain.host, str(domain.uuid), {})
        for spec in specs:  # before anything is made
            making.check(Clone.of(_part(ctx, spec)), found)
        with source.kept_still(ctx, domain):
            parts = _make_all(ctx, specs)
    except HostError as error:
        if ctx.job.parameters.get(FROZEN):
            raise OutcomeUnknown(error.message) from error
        raise
    return _report(parts)


def _part(ctx: JobContext, spec: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the job that makes one of the clones."""
    parameters = ctx.job.parameters
    names = ("linked", "start", "source_host", "host", "target_name", "disks")
    shared = {name: parameters[name] for name in names if name in parameters}
    return {**shared, "clone": spec, PART_OF_MANY: parameters.get(FROZEN, {})}


def _make_all(ctx: JobContext, specs: Sequence[dict[str, Any]]) -> list[Job]:
    """A few at a time. When the job is cancelled those that have begun are undone, and the rest never begins."""
    parts: list[Job] = []
    width = ctx.job.parameters["at_once"]
    with ThreadPoolExecutor(width, thread_name_prefix="clone") as threads:
        try:
            while len(parts) < len(specs) or _unfinished(ctx.job):
                ctx.check()
                while len(parts) < len(specs) and _unfinished(ctx.job) < width:
                    parts.append(_begin(ctx, specs[len(parts)]))
                    threads.submit(_work_on, parts[-1])
                _show_progress(ctx, len(specs))
                ctx.wait_until(lambda: _unfinished(ctx.job) < width, timeout_s=2, every_s=POLL_S)
        except Cancelled:
            ctx.phase("Undoing the clones that have begun")
            _cancel_parts(ctx.job)
            _wait_for_parts(ctx)
            raise
    for part in parts:
        part.refresh_from_db()
    return parts


def _begin(ctx: JobContext, spec: dict[str, Any]) -> Job:
    job = ctx.job
    return services.create(
        kind=CLONE_KIND,
        user=job.requested_by,
        target=services.Target(kind=job.target_kind, id=job.target_id, name=job.target_name, host_name=job.host_name),
        label=f"Clone {job.target_name} as {spec['name']}",
        parameters=_part(ctx, spec),
        parent=job,
        exclusive=False,
    )


def _work_on(job: Job) -> None:
    try:
        execution.execute(job)
    except Exception:  # the database or Redis is away: recovery calls a worker for it
        log.exception("The clone job %s was given up", job.pk)
    finally:
        connections.close_all()


def _unfinished(job: Job) -> int:
    return job.children.filter(state__in=Job.UNFINISHED).count()


def _show_progress(ctx: JobContext, total: int) -> None:
    ended = ctx.job.children.exclude(state__in=Job.UNFINISHED).count()
    words = f"{ended} of {total} clones are through"
    if ctx.job.phase != words:
        ctx.phase(words)
    ctx.progress(100 * ended // total)


def _cancel_parts(job: Job) -> None:
    for part in job.children.filter(state__in=Job.UNFINISHED):
        try:
            services.cancel(job=part, user=None)
        except Conflict as error:  # it has just ended, or is being cancelled
            log.info("%s", error.message)


def _wait_for_parts(ctx: JobContext) -> None:
    """Until all have ended; being cancelled is no reason not to wait."""
    while _unfinished(ctx.job):
        try:
            ctx.check()
        except Cancelled:
            STOPPING.wait(POLL_S)


def _report(parts: Sequence[Job]) -> Result:
    """Raises Conflict when a clone failed, with the reason of the first."""
    failed = [part for part in parts if part.state != Job.State.SUCCEEDED]
    reasons = [f"{part.label}: {part.error or part.state_words}" for part in failed]
    if failed:
        raise Conflict(
            f"{len(failed)} of {len(parts)} clones could not be made. {reasons[0]}",
            detail="\n".join(reasons),
        )
    return {"made": [part.parameters["clone"]["name"] for part in parts]}


def _reconcile(ctx: JobContext) -> Outcome:
    """Parts that have begun come to their own end; those that have not are given up. Then the source is brought back.

    Raises:
        Unavailable: parts are still under way, or a host cannot be asked now.
    """
    domain = source_of(ctx.job)
    for part in ctx.job.children.filter(state=Job.State.QUEUED):
        services.cancel(job=part, user=None)
    if ctx.job.cancel_requested_at:
        _cancel_parts(ctx.job)
    if left := _unfinished(ctx.job):
        raise Unavailable(f"{left} of its clones are still being finished or undone.")
    source.release(ctx, domain.host, str(domain.uuid))
    total = len(ctx.job.parameters["clones"])
    made = ctx.job.children.filter(state=Job.State.SUCCEEDED).count()
    if made == total:
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but all {total} clones are made.")
    return Outcome(
        Job.State.FAILED, f"It was interrupted when {made} of {total} clones were made; nothing is left of the others."
    )


MANY_KIND = register(
    Kind(
        name=MANY,
        run=_run,
        reconcile=_reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=7 * TIME_LIMIT_S,
        on_change=show_job,
        again=again,
    )
)
