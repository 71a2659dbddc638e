"""The page on which a guest is tuned, and what is to be known before something is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import QueryDict

from domains.actions import host_obstacle
from domains.figures import sample_of
from domains.models import Domain
from domains.tuning import services
from domains.tuning.forms import TuneForm
from domains.tuning.selectors import Load, Loads, definition_of, known_of, last_tune, loads_of, shares_beside
from domains.tuning.words import Change, changes, limit_value, share_sentence, shared_then, shared_words
from vmdash import formats
from vmdash.jobs.models import Job
from vmdash.live import cache
from vmdash.live.messages import GuestSample
from vmdash.virt.xml.throttle import LIMITS, together
from vmdash.virt.xml.tuning import Tuning, Tunings

if TYPE_CHECKING:
    from django.forms import BoundField

    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class Plan:
    """`wanted` is what was asked for and differs from what is; empty where nothing does, or the form is not valid."""

    form: TuneForm
    wanted: Tuning
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class DiskRow:
    target: str
    fields: Sequence[BoundField]
    loads: Sequence[Load]
    shared: str
    """With which disks it shares its limits, in words; empty: with none."""


@dataclass(frozen=True, slots=True)
class TunePage:
    domain: Domain
    plan: Plan
    next: Tuning | None
    sample: GuestSample | None
    disks: Sequence[DiskRow]
    loads: Loads
    share: str
    notes: Sequence[str]
    """What is to be known before."""
    virsh: str
    obstacle: str
    """Why nothing can be set now."""
    last: Job | None
    answer: Sequence[str]
    """What came of the last change."""

    @property
    def has_groups(self) -> bool:
        return any(disk.shared for disk in self.disks)

    @property
    def next_differs(self) -> list[str]:
        """Where its next start will bring something else, in words."""
        then = self.next
        found: list[str] = []
        if then is None or not self.domain.is_active:
            return found
        if then.vcpus != self.domain.vcpus:
            found.append(f"{then.vcpus} vCPU{'' if then.vcpus == 1 else 's'}")
        if then.memory_kib != self.domain.memory_kib:
            found.append(f"{formats.kib(then.memory_kib)} of memory")
        return found


def plan_of(domain: Domain, user: User, asked: QueryDict) -> Plan:
    known = known_of(domain, definition_of(domain))
    form = TuneForm(asked or None, domain=domain, known=known)
    wanted = form.wanted() if form.is_valid() else Tuning()
    return Plan(form, wanted, list(changes(known, wanted)))


def tune_page(domain: Domain, user: User, asked: QueryDict) -> TunePage:
    """Needs `domain.host`. Five queries, one request to the history store and one to the live cache."""
    plan, last = plan_of(domain, user, asked), last_tune(domain)
    definition, others = definition_of(domain), shares_beside(domain, user)
    known = known_of(domain, definition)
    loads = loads_of(domain, known.groups)
    sample = sample_of(cache.ticks([domain.host_id]), domain.host_id, domain.pk) if domain.is_active else None
    shares = plan.wanted.cpu_shares
    if shares is None:
        shares = definition.cpu_shares if definition else 0
    return TunePage(
        domain=domain,
        plan=plan,
        next=definition,
        sample=sample,
        disks=[
            DiskRow(
                disk.target,
                disk.fields,
                [load for key in LIMITS if (load := loads.by_disk.get(disk.target, {}).get(key))],
                shared_words(disk.target, known.groups, begin="shares its limits with "),
            )
            for disk in plan.form.disks()
        ],
        loads=loads,
        share=share_sentence(shares or 0, others) if definition else "",
        notes=list(dict.fromkeys(_notes(domain, known, plan.wanted, sample, loads))),
        virsh=services.virsh_of(domain, Tunings(plan.wanted, plan.wanted)),
        obstacle=host_obstacle(domain.host),
        last=last if last and "before" in last.parameters else None,
        answer=[line.text for line in last.lines.all()] if last else [],
    )


def _notes(domain: Domain, known: Tuning, wanted: Tuning, sample: GuestSample | None, loads: Loads) -> Iterator[str]:
    if wanted.vcpus is not None:
        if wanted.vcpus > domain.host.cpus > 0:
            yield f"{domain.host.name} has {domain.host.cpus} CPUs: its vCPUs will wait for each other."
        if domain.is_active and wanted.vcpus < domain.vcpus:
            yield (
                "The guest has to let vCPUs go, and only those that were plugged in while it ran can go. If it does "
                "not, nothing changes, and the job says so."
            )
    used = sample["mem"] if sample else None
    if wanted.memory_kib is not None and used is not None and wanted.memory_kib < used:
        yield f"It uses {formats.kib(used)} now: with less than that it swaps, or ends programs to free memory."
    if wanted.cpu_shares and wanted.cpu_shares > 10_000:
        yield "A host with cgroup v2 takes shares up to 10,000, and refuses more."
    for target, limits in wanted.disks.items():
        disks = shared_then(target, known, wanted)
        yield from _of_group(target, disks, known, wanted)
        name, them, had = (
            (target, "it", loads.by_disk)
            if len(disks) == 1
            else (f"{', '.join(disks)} together", "they", loads.of_groups)
        )
        for key, load in had.get(target, {}).items():
            both = f"total_{key.partition('_')[2]}"
            if load.most > min((limits[one] for one in (key, both) if one in limits), default=load.most):
                yield f"{name} had up to {limit_value(key, load.most)} in the last hour, more than {them} may then."


def _of_group(target: str, disks: Sequence[str], known: Tuning, wanted: Tuning) -> Iterator[str]:
    """What becomes of the other disks that share the limits of this one."""
    if len(disks) > 1:
        yield f"{', '.join(disks)} share one limit (group {known.groups[target]}): what is set holds for all of them."
    stay = [one for one in together(target, known.groups) if wanted.disks.get(one, True)]
    if not wanted.disks[target] and stay:
        rest = f"{', '.join(stay)} {'keeps' if len(stay) == 1 else 'keep'}"
        yield f"Without a limit {target} leaves the group {known.groups[target]}: {rest} the limit without it."
