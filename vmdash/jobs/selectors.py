"""Reading jobs for pages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from vmdash import formats
from vmdash.access.naming import hosts_told
from vmdash.access.roles import Permission, can_everywhere
from vmdash.jobs.models import Job, JobQuerySet
from vmdash.jobs.services import cancellable_by, is_cancellable, is_retryable
from vmdash.jobs.told import as_told

if TYPE_CHECKING:
    from vmdash.access.models import User

UNFINISHED = "unfinished"
"""A choice of the filter, beside the states."""

UNTOLD = ("console.open",)
"""Kinds whose page tells itself how they ended."""

_LOOKS = {
    Job.State.QUEUED: ("busy", "job"),
    Job.State.RUNNING: ("busy", "job"),
    Job.State.SUCCEEDED: ("ok", "done"),
    Job.State.FAILED: ("bad", "crashed"),
    Job.State.CANCELLED: ("off", "force"),
    Job.State.LOST: ("warn", "warning"),
    Job.State.RECONCILED: ("warn", "warning"),
}


MOST_IN_TRAY = 12
ENDED_LATELY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as pages show it."""

    job: Job
    tone: str
    """A class of static/css/components.css."""
    icon: str
    lasted: timedelta | None
    """From its start to its end, or to now; None before its start."""
    may_cancel: bool
    """Whether this person may cancel it now."""
    may_retry: bool
    children: list[JobRow] = field(default_factory=list)
    """The jobs that it is made of, where the page folds them under it."""

    @property
    def lasted_words(self) -> str:
        return formats.UNKNOWN if self.lasted is None else formats.duration(self.lasted)

    @property
    def is_active(self) -> bool:
        return self.job.state in Job.UNFINISHED

    @property
    def percent(self) -> int | None:
        """How much of it is done; None when that is not known."""
        return self.job.progress_percent

    @property
    def moved(self) -> str:
        """ "1.5 GiB of 2 GiB · 120 MiB/s · 4 s left"; static/js/job-progress.js says the same."""
        job = self.job
        parts = []
        if job.total_bytes is not None:
            parts.append(f"{formats.size(job.done_bytes)} of {formats.size(job.total_bytes)}")
        if job.rate_bytes_per_s is not None:
            parts.append(formats.per_second(job.rate_bytes_per_s))
        if job.seconds_left is not None:
            parts.append(f"{formats.duration(timedelta(seconds=job.seconds_left))} left")
        return " · ".join(parts)

    @property
    def happens(self) -> str:
        """What it does, what it waits for, or why it failed."""
        return self.job.error or self.job.phase or self.job.waiting_for

    @property
    def parts(self) -> str:
        """How its parts are: "2 running, 9 done"."""
        counts = Counter(row.job.state_words for row in self.children)
        return ", ".join(f"{count} {words}" for words, count in counts.items())


@dataclass(frozen=True, slots=True)
class Tray:
    """One person's jobs of the moment."""

    active: list[JobRow]
    ended: list[JobRow]
    others: int
    """Unfinished jobs of other people, for those who may see them."""


def job_row(job: Job, user: User) -> JobRow:
    [row] = rows_of([job], user)
    return row


def rows_of(
    jobs: Iterable[Job], user: User, children: Mapping[UUID | None, Sequence[Job]] | None = None
) -> list[JobRow]:
    """Rows in the same order, of jobs that `user` sees, as they may be told; `children` of some of them are folded in.
    Two queries at most."""
    found, parts = list(jobs), children or {}
    every = [*found, *(part for job in found for part in parts.get(job.pk, ()))]
    theirs = cancellable_by(every, user)
    told = {job.pk: job for job in as_told(every, user)}
    return [_row(told[job.pk], theirs, [told[part.pk] for part in parts.get(job.pk, ())]) for job in found]


def _row(job: Job, theirs: Collection[UUID], children: Sequence[Job]) -> JobRow:
    """`theirs`: the jobs that the person may cancel."""
    tone, icon = _LOOKS[Job.State(job.state)]
    lasted = (job.finished_at or timezone.now()) - job.started_at if job.started_at else None
    return JobRow(
        job,
        tone,
        icon,
        lasted,
        may_cancel=job.pk in theirs and is_cancellable(job),
        may_retry=job.pk in theirs and is_retryable(job),
        children=[_row(child, theirs, ()) for child in children],
    )


def leave_out_hidden(jobs: Iterable[Job], user: User) -> None:
    """Forget what jobs are parts or repetitions of where this person may not see that. Not to be saved afterwards."""
    if can_everywhere(user, Permission.VIEW_ALL_JOBS):
        return
    jobs = list(jobs)
    others = {pk for job in jobs for pk in (job.parent_id, job.retry_of_id) if pk}
    seen = set(Job.objects.visible_to(user).filter(pk__in=others).values_list("pk", flat=True)) if others else set()
    for job in jobs:
        if job.parent_id not in seen:
            job.parent = None
        if job.retry_of_id not in seen:
            job.retry_of = None


def job_rows(jobs: Iterable[Job], user: User, *, folded: bool) -> list[JobRow]:
    """Rows in the same order; `folded`: each with the jobs that it is made of, for one more query."""
    found = list(jobs)
    leave_out_hidden(found, user)
    children: dict[UUID | None, list[Job]] = defaultdict(list)
    if folded:
        for child in Job.objects.visible_to(user).filter(parent__in=found).order_by("created_at"):
            children[child.parent_id].append(child)
    return rows_of(found, user, children)


def tray(user: User) -> Tray:
    """What `user` asked for and lasts or has just ended. Three queries."""
    mine = Job.objects.visible_to(user).filter(requested_by=user)
    ended = mine.filter(finished_at__gt=timezone.now() - ENDED_LATELY, parent=None).exclude(kind__in=UNTOLD)
    others = Job.objects.visible_to(user).unfinished().exclude(requested_by=user)
    return Tray(
        active=rows_of(mine.unfinished()[:MOST_IN_TRAY], user),
        ended=rows_of(ended.order_by("-finished_at")[:MOST_IN_TRAY], user),
        others=others.count(),
    )


def jobs_for(user: User, *, state: str = "", kind: str = "", target: str = "", person: str = "") -> JobQuerySet:
    """The jobs that `user` may see, newest first.

    `state` is a `Job.State` or `UNFINISHED`; `kind` the name of one; `target` a guest's UUID, a part of a guest's or
    host's name, or the whole name of the host it happens on; `person` a user name. Empty ones do not restrict. Without
    any, parts of other jobs are left out: they are shown under these.
    """
    jobs = Job.objects.visible_to(user).select_related("parent")
    if not (state or kind or target or person):
        return jobs.filter(parent=None)
    if state == UNFINISHED:
        jobs = jobs.unfinished()
    elif state:
        jobs = jobs.filter(state=state)
    if kind:
        jobs = jobs.filter(kind=kind)
    if target:
        on_it = Q(host_name__in=hosts_told(user, [target]))
        jobs = jobs.filter(Q(target_id=target) | Q(target_name__icontains=target) | on_it)
    if person:
        jobs = jobs.filter(requested_by_name=person)
    return jobs
