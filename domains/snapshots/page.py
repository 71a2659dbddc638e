"""What the part "Snapshots" of a guest's page shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils import timezone

from domains.models import Domain
from domains.snapshots import choices
from domains.snapshots.models import Snapshot, SnapshotSchedule
from domains.snapshots.schedules.overview import Line, State, lines_of, schedules_of, states_of
from domains.snapshots.schedules.ticking import why_waiting
from domains.snapshots.tree import in_order
from vmdash.access.roles import Permission, can
from vmdash.jobs.models import Job
from vmdash.jobs.selectors import JobRow, rows_of

if TYPE_CHECKING:
    from vmdash.access.models import User

DEEPEST = 8
"""Further down nothing is indented any more."""
_STATES = {
    "running": "running",
    "idle": "running",
    "blocked": "running",
    "paused": "paused",
    "shutoff": "off",
    "crashed": "crashed",
    "pmsuspended": "asleep",
    "disk-snapshot": "running",
}


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What the schedule that took a snapshot will do with it."""

    schedule: SnapshotSchedule
    line: Line
    waiting: str
    """Why it is there still although it should be gone; mostly empty."""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One snapshot in the tree."""

    snapshot: Snapshot
    depth: int
    why_not_revert: str
    scheduled: Scheduled | None

    @property
    def indent(self) -> int:
        return min(self.depth, DEEPEST)

    @property
    def guest_was(self) -> str:
        return state_words(self.snapshot)

    @property
    def quiesced(self) -> str:
        """Whether the file systems were at rest, or why not."""
        one = self.snapshot
        if one.quiesced:
            return "frozen by the agent"
        if one.quiesced is False:
            return f"not frozen. {one.not_quiesced_because}".strip()
        return "with memory" if one.memory else "at rest" if one.guest_state == "shutoff" else ""


def state_words(snapshot: Snapshot) -> str:
    """How the guest was when it was taken."""
    return _STATES.get(snapshot.guest_state, snapshot.guest_state)


@dataclass(frozen=True)
class SnapshotsPart:
    """A guest's snapshots as one person sees them."""

    domain: Domain
    user: User
    now: datetime

    @property
    def may_change(self) -> bool:
        return can(self.user, Permission.SNAPSHOT, self.domain)

    @cached_property
    def obstacle(self) -> str:
        """Why nothing can be done now, by anybody."""
        return choices.obstacle(self.domain)

    @cached_property
    def why_not_take(self) -> str:
        if self.obstacle:
            return self.obstacle
        reasons = list(choices.kinds(self.domain).values())
        return "" if "" in reasons else reasons[0]

    @cached_property
    def why_not_flatten(self) -> str:
        return self.obstacle or choices.why_not_flatten(self.domain)

    @cached_property
    def rows(self) -> list[SnapshotRow]:
        snapshots = Snapshot.objects.visible_to(self.user).filter(domain=self.domain)
        return [
            SnapshotRow(
                snapshot,
                depth,
                why_not_revert=self.obstacle or choices.why_not_revert(self.domain, snapshot),
                scheduled=self._scheduled.get(snapshot.name),
            )
            for depth, snapshot in in_order(snapshots)
        ]

    @cached_property
    def schedules(self) -> list[State]:
        """Those that are for this guest, as far as it is concerned."""
        return states_of(schedules_of(self.domain, self.user), self.now, only=self.domain)

    @cached_property
    def _scheduled(self) -> dict[str, Scheduled]:
        found = {}
        for state in self.schedules:
            for line in lines_of(state.schedule, [self.domain]).get(self.domain.pk, []):
                waiting = "" if line.stays else why_waiting(self.domain, line)
                found[line.run.snapshot_name] = Scheduled(state.schedule, line, waiting)
        return found

    @cached_property
    def jobs(self) -> list[JobRow]:
        """Those about snapshots that last, and the newest one if it failed; as far as this person may see them."""
        ours = Job.objects.visible_to(self.user).filter(
            target_kind="domain", target_id=str(self.domain.pk), kind__startswith="snapshot."
        )
        newest = ours.first()
        failed = [newest] if newest and newest.state in (Job.State.FAILED, Job.State.RECONCILED) else []
        return rows_of([*ours.unfinished(), *failed], self.user)


def snapshots_part(domain: Domain, user: User) -> SnapshotsPart:
    return SnapshotsPart(domain, user, timezone.now())
