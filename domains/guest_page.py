"""What the page of one guest shows, read in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from domains.actions import ActionChoice, possible
from domains.figures import is_fresh, sample_of
from domains.migration.page import Running, moves_of, running_move
from domains.models import Domain, Migration
from domains.numa.selectors import NumaPart, numa_part
from domains.rows import guest_row
from domains.snapshots.page import SnapshotsPart, snapshots_part
from domains.steal.page import CpuPart, cpu_part
from domains.trouble import Trouble
from domains.troubles import SAID_ALREADY, troubles_of
from domains.tuning.selectors import TunePart, tune_part
from vmdash.access.roles import Permission, can
from vmdash.alerts.models import Alert
from vmdash.alerts.selectors import of_guest
from vmdash.jobs.models import Job
from vmdash.jobs.selectors import JobRow, rows_of
from vmdash.live import cache
from vmdash.live.messages import GuestRow, GuestSample, Tick
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.domain import DomainDefinition

if TYPE_CHECKING:
    from vmdash.access.models import User

TABS = {
    "overview": "Overview",
    "cpu": "CPU",
    "disks": "Disks",
    "snapshots": "Snapshots",
    "hardware": "Hardware",
    "xml": "XML",
    "history": "History",
}
"""The parts of the page, by the end of their address. The console is a page of its own."""

IN_SIGHT = ("start", "shutdown", "reboot")
"""Actions with a button of their own; the menu lists all."""

MOST_JOBS = 100


@dataclass(frozen=True)
class GuestPage:
    """A guest as one person sees it. What only one part shows is read when it is asked for."""

    domain: Domain
    user: User
    row: GuestRow
    tick: Tick | None
    sample: GuestSample | None
    """The last known figures; None while it is off."""
    troubles: list[Trouble]
    choices: list[ActionChoice]
    """Every action, with the reason where one is not possible."""

    @property
    def buttons(self) -> Sequence[ActionChoice]:
        return [choice for choice in self.choices if choice.action.key in IN_SIGHT]

    @property
    def obstacles(self) -> list[str]:
        """Why none of the buttons can be pressed; empty when one can."""
        if any(choice.possible for choice in self.buttons):
            return []
        return list(dict.fromkeys(choice.reason for choice in self.buttons))

    @property
    def answers(self) -> bool:
        """Whether its host does; otherwise everything here is what was true when it last did."""
        return self.domain.host.enabled and self.domain.host.state == self.domain.host.State.UP

    @property
    def is_stale(self) -> bool:
        """Whether nobody has heard of its host for a while."""
        return not self.answers or self.tick is None or not is_fresh(self.tick)

    @property
    def is_well(self) -> bool:
        """It runs, there are figures, and nothing is known to be wrong."""
        return self.domain.is_active and self.sample is not None and not (self.is_stale or self.troubles or self.alerts)

    @property
    def known_at(self) -> int:
        """When its state was last known to be true, in Unix milliseconds."""
        return max(self.row["observed_at"], self.tick["at"] if self.tick else 0)

    @property
    def may_see_screen(self) -> bool:
        return can(self.user, Permission.CONSOLE, self.domain)

    @property
    def may_clone(self) -> bool:
        return can(self.user, Permission.CLONE, self.domain)

    @property
    def may_move(self) -> bool:
        return can(self.user, Permission.MIGRATE, self.domain)

    @cached_property
    def move(self) -> Running | None:
        """The move that is on its way."""
        return running_move(self.domain, self.user)

    @cached_property
    def moves(self) -> list[Migration]:
        """Newest first."""
        return moves_of(self.domain, self.user)

    @cached_property
    def cpu(self) -> CpuPart:
        return cpu_part(self.domain, self.user, self.tick)

    @cached_property
    def numa(self) -> NumaPart:
        return numa_part(self.domain, self.tick)

    @cached_property
    def tuning(self) -> TunePart:
        return tune_part(self.domain)

    @property
    def disks(self) -> list[tuple[dict[str, Any], str]]:
        """Each as in `Domain.disks`, and its limits in words."""
        return [(disk, self.tuning.limits.get(disk["target"], "")) for disk in self.domain.disks]

    @cached_property
    def snapshots(self) -> SnapshotsPart:
        return snapshots_part(self.domain, self.user)

    @property
    def may_operate(self) -> bool:
        return can(self.user, Permission.OPERATE, self.domain)

    @property
    def sees_all_jobs(self) -> bool:
        return can(self.user, Permission.VIEW_ALL_JOBS, self.domain)

    @property
    def memory(self) -> float | None:
        """Memory used inside the guest, percent of what it has."""
        used = self.sample["mem"] if self.sample else None
        return 100 * used / self.domain.memory_kib if used is not None and self.domain.memory_kib else None

    @property
    def screen_taken_at(self) -> int | None:
        """When the last picture of its screen was taken, in Unix milliseconds."""
        return cache.screen_taken_at(self.domain.pk) if self.may_see_screen else None

    @cached_property
    def definition(self) -> DomainDefinition | None:
        """None while it has not been read, or cannot be."""
        try:
            return DomainDefinition.parse(self.domain.xml) if self.domain.xml else None
        except InvalidDefinition:
            return None

    @cached_property
    def alerts(self) -> list[Alert]:
        """Without those that would only repeat its troubles."""
        return [alert for alert in of_guest(self.user, self.domain.pk) if alert.rule not in SAID_ALREADY]

    @cached_property
    def jobs(self) -> list[JobRow]:
        """Newest first."""
        found = Job.objects.visible_to(self.user).filter(target_kind="domain", target_id=str(self.domain.pk))
        return rows_of(found[:MOST_JOBS], self.user)


def page_of(domain: Domain, user: User) -> GuestPage:
    """`domain` has its host selected along."""
    ticks = cache.ticks([domain.host_id])
    tick = ticks.get(domain.host_id)
    sample = sample_of(ticks, domain.host_id, domain.pk) if domain.is_active else None
    return GuestPage(
        domain=domain,
        user=user,
        row=guest_row(domain),
        tick=tick,
        sample=sample,
        troubles=troubles_of(user, domain, sample, tick),
        choices=possible(domain, user),
    )
