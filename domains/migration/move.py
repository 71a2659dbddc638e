"""A move as its job knows it: the guest, the hosts, the options, the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from domains.migration.equivalent import virsh_command
from domains.migration.plan import DiskPlan, How, copied
from domains.models import Domain
from hosts.models import Host
from vmdash.exceptions import NotFound
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.virt.migration_types import MigrationOptions


@dataclass(frozen=True, slots=True)
class Move:
    """Read from the parameters of a `domain.migrate` job.

    `disks` is None until they are planned, and stored before anything is made of the plan; `known_disks` is what a
    check found. `was_*` is how the guest was before anything was done.
    """

    job: Job
    domain: Domain
    source: Host
    target: Host
    options: MigrationOptions
    remove_copied: bool
    disks: Sequence[DiskPlan] | None
    known_disks: Sequence[DiskPlan] | None
    was_defined_there: bool
    autostart: bool
    paused: bool

    @classmethod
    def of(cls, job: Job) -> Self:
        """Raises NotFound: the guest or one of the hosts is not in the inventory any more."""
        told = job.parameters
        domain = insist(Domain.objects.filter(pk=job.target_id).first)
        hosts = insist(lambda: Host.objects.select_related("credential").in_bulk([told["source"], told["target"]]))
        if domain is None or len(hosts) < 2:
            raise NotFound(f"Cannot move {job.target_name}: it or one of the hosts is not in the inventory any more.")
        return cls(
            job=job,
            domain=domain,
            source=hosts[told["source"]],
            target=hosts[told["target"]],
            options=MigrationOptions.of(told["options"]),
            remove_copied=told.get("remove_copied", True),
            disks=_plans(told.get("disks")),
            known_disks=_plans(told.get("known_disks")),
            was_defined_there=told.get("was_defined_there", True),
            autostart=told.get("autostart", False),
            paused=told.get("paused", False),
        )

    @property
    def name(self) -> str:
        return self.domain.name

    @property
    def uuid(self) -> str:
        return str(self.domain.pk)

    @property
    def copied(self) -> list[DiskPlan]:
        return copied(self.disks or [])

    @property
    def tag(self) -> str:
        """Makes names of volumes its own."""
        return self.job.pk.hex[:8]

    @property
    def how(self) -> str:
        """In words: "live, with 2 disks"."""
        count = len(self.copied)
        words = "live" if self.options.live else "while off"
        return words + (f", with {count} disk{'s' if count > 1 else ''}" if count else "")

    def planned(
        self,
        *,
        disks: Sequence[DiskPlan],
        options: MigrationOptions,
        was_defined_there: bool,
        autostart: bool,
        paused: bool,
    ) -> Move:
        """The same with what was found at its beginning, stored with the job before anything is done."""
        options = replace(
            options,
            copy_disks=tuple(disk.target for disk in copied(disks)) if options.live else (),
            shared_storage=not any(disk.how is How.STUCK for disk in disks),
        )
        told: dict[str, Any] = {
            **self.job.parameters,
            "options": options.stored(),
            "disks": [disk.stored() for disk in disks],
            "was_defined_there": was_defined_there,
            "autostart": autostart,
            "paused": paused,
        }
        virsh = virsh_command(self.name, self.source, self.target, options)[:500]
        insist(lambda: Job.objects.filter(pk=self.job.pk).update(parameters=told, virsh=virsh))
        self.job.parameters, self.job.virsh = told, virsh
        return Move.of(self.job)


def _plans(stored: Sequence[Mapping[str, Any]] | None) -> list[DiskPlan] | None:
    return None if stored is None else [DiskPlan.of(disk) for disk in stored]
