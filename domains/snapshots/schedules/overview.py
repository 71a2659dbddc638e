"""What a schedule has done and will do, for pages and for the scheduler: asks no host."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from domains.models import Domain
from domains.snapshots.models import ScheduledSnapshot, Snapshot, SnapshotSchedule
from domains.snapshots.schedules.retention import Rules, Verdict, verdicts
from domains.snapshots.schedules.times import Rhythm
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from uuid import UUID

    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

PATIENCE = timedelta(minutes=15)
"""So long a snapshot that is due is tried for: its guest may be busy, or vmdash may just have been started anew."""
PRUNING_REST = timedelta(hours=6)
"""Before deleting one is tried again."""
HALF_MERGED = "half merged: of no use any more"


@dataclass(frozen=True, slots=True)
class Line:
    """One snapshot that a schedule took and that is still there."""

    run: ScheduledSnapshot
    size_bytes: int | None
    verdict: Verdict

    @property
    def stays(self) -> bool:
        return self.verdict.stays

    @property
    def pruning_problem(self) -> str:
        """Why the last attempt to delete it failed."""
        return _failure(self.run.pruning_job)

    def may_be_pruned(self, now: datetime) -> bool:
        """Whether it is to be deleted, and not being deleted, nor tried a short while ago."""
        job = self.run.pruning_job
        if self.stays or job is None:
            return not self.stays
        return job.finished_at is not None and job.finished_at <= now - PRUNING_REST


def guests_of(schedule: SnapshotSchedule) -> QuerySet[Domain]:
    """The guests that it is for now. Of a tag's, templates are left out: nothing on them changes."""
    present = Domain.objects.present()
    if schedule.domain_id:
        return present.filter(pk=schedule.domain_id)
    return present.filter(tags=schedule.tag_id, is_template=False)


def schedules_of(domain: Domain, user: User | AnonymousUser) -> list[SnapshotSchedule]:
    """Those that are for this guest."""
    found = SnapshotSchedule.objects.visible_to(user).select_related("tag", "domain")
    tags = [] if domain.is_template else domain.tags.values_list("pk", flat=True)
    return list(found.filter(Q(domain=domain) | Q(tag__in=tags)))


def lines_of(schedule: SnapshotSchedule, domains: Iterable[Domain] | QuerySet[Domain]) -> dict[UUID, list[Line]]:
    """The snapshots that it took of these guests and that are there, newest first. One query."""
    snapshot = Snapshot.objects.filter(domain=OuterRef("domain"), name=OuterRef("snapshot_name"))
    runs = (
        schedule.runs.filter(Exists(snapshot), domain__in=domains)
        .exclude(job__state__in=Job.UNFINISHED)
        .select_related("job", "pruning_job")
        .annotate(
            half_merged=Subquery(snapshot.values("half_merged")[:1]),
            size_bytes=Subquery(snapshot.values("size_bytes")[:1]),
        )
    )
    found: dict[UUID, list[ScheduledSnapshot]] = defaultdict(list)
    for run in runs:
        found[run.domain_id].append(run)
    return {pk: _judged(ours, Rules.of(schedule)) for pk, ours in found.items()}


def _judged(runs: list[ScheduledSnapshot], rules: Rules) -> list[Line]:
    usable = verdicts((run.due_at for run in runs if not run.half_merged), rules)  # type: ignore[attr-defined]
    judged = {verdict.at: verdict for verdict in usable}
    return [
        Line(run, run.size_bytes, judged.get(run.due_at) or Verdict(run.due_at, (), (HALF_MERGED,)))  # type: ignore[attr-defined]
        for run in sorted(runs, key=lambda run: run.due_at, reverse=True)
    ]


def problem_of(run: ScheduledSnapshot) -> str:
    """Why there is no snapshot of that time; empty when there is one, or it is still being taken."""
    return run.problem or _failure(run.job)


def _failure(job: Job | None) -> str:
    if job is None or job.state in (*Job.UNFINISHED, Job.State.SUCCEEDED):
        return ""
    return job.error or f"“{job.label}” is {job.state_words}."


@dataclass(frozen=True, slots=True)
class State:
    """How a schedule does: `next_at` is None while it is disabled, `last` are the runs of its last time."""

    schedule: SnapshotSchedule
    guests: int
    next_at: datetime | None
    last_at: datetime | None
    last: list[ScheduledSnapshot]
    undeleted: int
    """Snapshots that should be gone, and could not be deleted the last time."""

    @property
    def problems(self) -> list[tuple[str, str]]:
        """The guest's name and what went wrong."""
        return [(run.domain.name, words) for run in self.last if (words := problem_of(run))]

    @property
    def taken(self) -> int:
        return sum(1 for run in self.last if run.snapshot_name and not problem_of(run))

    @property
    def rhythm(self) -> str:
        return Rhythm.of(self.schedule).words

    @property
    def rules(self) -> str:
        return Rules.of(self.schedule).words


def state_of(schedule: SnapshotSchedule, now: datetime) -> State:
    return states_of([schedule], now)[0]


def states_of(schedules: Sequence[SnapshotSchedule], now: datetime, *, only: Domain | None = None) -> list[State]:
    """In the same order, with a fixed number of queries. `only`: as far as one guest is concerned."""
    runs = ScheduledSnapshot.objects.filter(schedule__in=schedules, domain__gone_at=None)
    if only is not None:
        runs = runs.filter(domain=only)
    newest = runs.filter(schedule=OuterRef("schedule")).order_by("-due_at").values("due_at")[:1]
    last: dict[int, list[ScheduledSnapshot]] = defaultdict(list)
    for run in runs.filter(due_at=Subquery(newest)).select_related("domain", "job").order_by("domain__name"):
        last[run.schedule_id].append(run)
    failed = (Job.State.FAILED, Job.State.CANCELLED, Job.State.RECONCILED)
    still_there = Exists(Snapshot.objects.filter(domain=OuterRef("domain"), name=OuterRef("snapshot_name")))
    undeleted = Counter(
        runs.filter(still_there, pruning_job__state__in=failed).order_by().values_list("schedule", flat=True)
    )
    guests = _numbers_of_guests(schedules)
    return [
        State(
            schedule=schedule,
            guests=guests[schedule.pk],
            next_at=Rhythm.of(schedule).after(now) if schedule.enabled else None,
            last_at=last[schedule.pk][0].due_at if last[schedule.pk] else None,
            last=last[schedule.pk],
            undeleted=undeleted[schedule.pk],
        )
        for schedule in schedules
    ]


def _numbers_of_guests(schedules: Iterable[SnapshotSchedule]) -> dict[int, int]:
    """How many `guests_of` each, two queries for all."""
    present = Domain.objects.present()
    alone = set(present.filter(snapshot_schedules__in=schedules).values_list("pk", flat=True))
    by_tag = dict(
        present.filter(tags__snapshot_schedules__in=schedules, is_template=False)
        .order_by()
        .values_list("tags")
        .annotate(number=Count("pk", distinct=True))
    )
    return {
        schedule.pk: int(schedule.domain_id in alone) if schedule.domain_id else by_tag.get(schedule.tag_id, 0)
        for schedule in schedules
    }
