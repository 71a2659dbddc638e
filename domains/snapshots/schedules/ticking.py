"""What the scheduler does every minute: it has snapshots taken that are due, and those deleted that the rules let go.

Two schedulers may do so at once, and a scheduler may die anywhere. A time is opened by whoever moves `handled_until`
over it; the rows of its guests come with that, in one transaction. A job is asked for in one transaction with writing
down that it was, under the condition that nobody else did.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from domains.models import Domain
from domains.snapshots import choices, services
from domains.snapshots.models import ScheduledSnapshot, Snapshot, SnapshotKind, SnapshotSchedule
from domains.snapshots.schedules.overview import PATIENCE, Line, guests_of, lines_of
from domains.snapshots.schedules.times import Rhythm
from vmdash.exceptions import VmdashError
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

NOT_RUNNING = "vmdash did not run then, and what was missed is not made up for."


def tick(now: datetime) -> None:
    """See to everything that is due at `now`."""
    for schedule in SnapshotSchedule.objects.filter(enabled=True):
        open_times(schedule, now)
    _ask_for_waiting(now)
    for schedule in SnapshotSchedule.objects.filter(enabled=True):
        prune(schedule, now)


def open_times(schedule: SnapshotSchedule, now: datetime) -> None:
    """Write down that its guests are to be snapshotted, if a time has come since it was looked at last. Of several only
    the last one counts; one that is long ago is written down as missed."""
    times = list(Rhythm.of(schedule).between(schedule.handled_until, now))
    if not times:
        return
    problem = NOT_RUNNING if times[-1] <= now - PATIENCE else ""
    with transaction.atomic():
        ours = SnapshotSchedule.objects.filter(
            pk=schedule.pk, enabled=True, handled_until=schedule.handled_until
        ).update(handled_until=now)
        if not ours:
            return
        ScheduledSnapshot.objects.bulk_create(
            [
                ScheduledSnapshot(schedule=schedule, domain=domain, due_at=times[-1], problem=problem)
                for domain in guests_of(schedule)
            ],
            ignore_conflicts=True,
        )


def _ask_for_waiting(now: datetime) -> None:
    """Those that are due and not asked for yet: their guest was busy or out of reach, or the time has just come."""
    waiting = ScheduledSnapshot.objects.filter(snapshot_name="", job=None, domain__gone_at=None)
    waiting.filter(problem="", due_at__lte=now - PATIENCE).update(problem=NOT_RUNNING)
    for run in waiting.filter(due_at__gt=now - PATIENCE, schedule__enabled=True).select_related(
        "schedule", "domain__host"
    ):
        _take(run)


def _take(run: ScheduledSnapshot) -> None:
    schedule, domain = run.schedule, run.domain
    kind = SnapshotKind(schedule.kind)
    if kind == SnapshotKind.FILES and choices.is_off(domain):
        kind = SnapshotKind.DISKS  # it has no memory to keep
    untaken = ScheduledSnapshot.objects.filter(pk=run.pk, snapshot_name="", job=None)

    def ask() -> bool:
        job = services.take(domain=domain, user=None, kind=kind, note=schedule.name, quiesce=schedule.quiesce)
        return bool(untaken.update(job=job, snapshot_name=job.parameters["name"], problem=""))

    if problem := _ask(ask):
        untaken.update(problem=problem[:500])


def prune(schedule: SnapshotSchedule, now: datetime) -> None:
    """Have one snapshot of each guest deleted that its rules let go, the oldest: a guest does one thing at a time."""
    domains = {domain.pk: domain for domain in guests_of(schedule).select_related("host")}
    for pk, lines in lines_of(schedule, domains.values()).items():
        going = [line for line in lines if line.may_be_pruned(now)]
        if going:
            _delete(domains[pk], going[-1])


def _delete(domain: Domain, line: Line) -> None:
    before = ScheduledSnapshot.objects.filter(pk=line.run.pk, pruning_job=line.run.pruning_job)
    snapshot = Snapshot.objects.filter(domain=domain, name=line.run.snapshot_name).first()
    if snapshot is None:
        return

    def ask() -> bool:
        return bool(before.update(pruning_job=services.delete(domain=domain, snapshot=snapshot, user=None)))

    if problem := _ask(ask):  # its page says so, too, from what is known of the guest
        log.info("%s of %s cannot be deleted now: %s", snapshot.name, domain.name, problem)


class _SeenTo(Exception):
    """Another scheduler did."""


def _ask(ask: Callable[[], bool]) -> str:
    """Run `ask`, which makes a job and returns whether nobody else did; otherwise its job never was. Returns why it
    cannot be asked for now."""
    try:
        with transaction.atomic():
            if not ask():
                raise _SeenTo
    except _SeenTo:
        return ""
    except VmdashError as error:
        return str(error)
    except Exception as error:  # one guest of which vmdash knows something odd must not stop the others
        log.exception("A snapshot could not be asked for")
        return f"A mistake in vmdash is in the way: {error}"
    return ""


def why_waiting(domain: Domain, line: Line) -> str:
    """Why a snapshot that is to go is there still; empty while it is being deleted or its turn comes."""
    job = line.run.pruning_job
    if job is not None and job.state in Job.UNFINISHED:
        return ""
    return line.pruning_problem or choices.obstacle(domain)
