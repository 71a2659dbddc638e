"""What the pages of a schedule show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from domains.actions import cannot
from domains.models import Domain
from domains.snapshots import choices
from domains.snapshots.models import ScheduledSnapshot, SnapshotKind, SnapshotSchedule
from domains.snapshots.schedules.overview import Line, State, guests_of, lines_of, problem_of, state_of
from domains.snapshots.schedules.retention import Forecast, Rules, forecast
from domains.snapshots.schedules.ticking import why_waiting
from domains.snapshots.schedules.times import Rhythm
from vmdash.access.roles import Permission, can

if TYPE_CHECKING:
    from vmdash.access.models import User

HORIZONS = (30, 7, 365)
"""Days. Of the first one each snapshot is shown, of the others how many there are."""
MOST_RUNS = 50
MOST_GUESTS = 100
MOST_OBSTACLES = 5


@dataclass(frozen=True, slots=True)
class GuestLines:
    """What a schedule has of one guest. `waiting` tells of each that should be gone why it is there still."""

    domain: Domain
    lines: list[tuple[Line, str]]

    @property
    def staying(self) -> int:
        return sum(1 for line, _ in self.lines if line.stays)

    @property
    def going(self) -> int:
        return len(self.lines) - self.staying


@dataclass(frozen=True, slots=True)
class Run:
    """One guest at one time."""

    row: ScheduledSnapshot
    problem: str

    @property
    def is_waiting(self) -> bool:
        return not self.problem and (not self.row.snapshot_name or self._is_lasting)

    @property
    def _is_lasting(self) -> bool:
        job = self.row.job
        return job is not None and job.finished_at is None


@dataclass(frozen=True)
class SchedulePage:
    schedule: SnapshotSchedule
    user: User
    now: datetime

    @property
    def may_change(self) -> bool:
        return can(self.user, Permission.SNAPSHOT, self.schedule)

    @cached_property
    def state(self) -> State:
        return state_of(self.schedule, self.now)

    @cached_property
    def guests(self) -> list[GuestLines]:
        """Those that it is for now, by name."""
        ours = guests_of(self.schedule).values("pk")
        domains = list(Domain.objects.visible_to(self.user).filter(pk__in=ours).select_related("host")[:MOST_GUESTS])
        return _with_lines(self.schedule, domains, going=True)

    @cached_property
    def former_guests(self) -> list[GuestLines]:
        """Those that it was for, and of which it has snapshots. Nothing of theirs is deleted."""
        ours = guests_of(self.schedule).values("pk")
        once = self.schedule.runs.exclude(snapshot_name="").values("domain")
        domains = Domain.objects.visible_to(self.user).filter(pk__in=once).exclude(pk__in=ours).select_related("host")
        found = _with_lines(self.schedule, domains[:MOST_GUESTS], going=False)
        return [guest for guest in found if guest.lines]

    @cached_property
    def obstacles(self) -> list[str]:
        return obstacles_of(self.schedule)

    @cached_property
    def forecasts(self) -> list[Forecast]:
        """For one guest, of which the oldest snapshots are there already."""
        there = [line.run.due_at for guest in self.guests[:1] for line, _ in guest.lines]
        return forecasts(self.schedule, self.now, there=there)

    @cached_property
    def runs(self) -> list[Run]:
        """Newest first."""
        runs = self.schedule.runs.filter(domain__gone_at=None).select_related("domain", "job")
        return [Run(run, problem_of(run)) for run in runs.order_by("-due_at", "domain__name")[:MOST_RUNS]]


def _with_lines(schedule: SnapshotSchedule, domains: Iterable[Domain], *, going: bool) -> list[GuestLines]:
    found = list(domains)
    lines = lines_of(schedule, found)
    return [
        GuestLines(
            domain,
            [(line, "" if line.stays or not going else why_waiting(domain, line)) for line in lines.get(domain.pk, [])],
        )
        for domain in found
    ]


def schedule_page(schedule: SnapshotSchedule, user: User, now: datetime) -> SchedulePage:
    return SchedulePage(schedule, user, now)


def forecasts(schedule: SnapshotSchedule, now: datetime, *, there: Iterable[datetime] = ()) -> list[Forecast]:
    """What there will be of one guest after each of `HORIZONS`. The schedule need not be stored."""
    rhythm, rules, known = Rhythm.of(schedule), Rules.of(schedule), list(there)
    return [forecast(rhythm, rules, start=now, days=days, there=known) for days in HORIZONS]


def obstacles_of(schedule: SnapshotSchedule) -> list[str]:
    """Guests of which it could take nothing now, and why: "Cannot take snapshots of web1: …"."""
    found = []
    kind = SnapshotKind(schedule.kind)
    for domain in guests_of(schedule).select_related("host")[:MOST_GUESTS]:
        suitable = SnapshotKind.DISKS if kind == SnapshotKind.FILES and choices.is_off(domain) else kind
        if reason := choices.obstacle(domain) or choices.why_not_take(domain, suitable):
            found.append(cannot(f"Take snapshots of {domain.name}", reason))
    more = len(found) - MOST_OBSTACLES
    return [*found[:MOST_OBSTACLES], *([f"And {more} more."] if more > 0 else [])]
