"""What the page shows on which a guest is tuned: what it has, what its disks do, and what its shares are worth."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.models import ACTIVE_STATES, Domain
from domains.tuning.words import limit_value, limit_words, shared_words
from vmdash.exceptions import Unavailable
from vmdash.jobs.models import Job
from vmdash.metrics.query import Asked, labels, rate, read
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.throttle import shared, together
from vmdash.virt.xml.tuning import Tuning

if TYPE_CHECKING:
    from vmdash.access.models import User

_STEP_S, _HOUR_S, _OVER = 60, 3600, "2m"
_COUNTERS = {
    "read_bytes_sec": "read_bytes",
    "write_bytes_sec": "write_bytes",
    "read_iops_sec": "read_requests",
    "write_iops_sec": "write_requests",
}
_NOT_TUNED = ("cdrom", "floppy")


@dataclass(frozen=True, slots=True)
class Load:
    """Of one disk and one way, over the last hour, per second."""

    key: str
    now: float | None
    most: float

    @property
    def words(self) -> str:
        newest = "not known now" if self.now is None else f"{limit_value(self.key, self.now)} now"
        return f"{newest}, {limit_value(self.key, self.most)} at most"


@dataclass(frozen=True, slots=True)
class Loads:
    """By disk, and of the disks together that share limits, by one of them. `unavailable`: why nothing is known."""

    by_disk: Mapping[str, Mapping[str, Load]]
    of_groups: Mapping[str, Mapping[str, Load]]
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class TunePart:
    """What a guest's page shows: `next` is what its definition says; None where that cannot be read."""

    known: Tuning
    next: Tuning | None

    @property
    def limits(self) -> dict[str, str]:
        """In words, by disk; only of those that have some."""
        return {
            target: limit_words(limits) + shared_words(target, self.known.groups, begin=", shared with ")
            for target, limits in self.known.disks.items()
            if limits
        }


def tune_part(domain: Domain) -> TunePart:
    then = definition_of(domain)
    return TunePart(known_of(domain, then), then)


def definition_of(domain: Domain) -> Tuning | None:
    try:
        return Tuning.parse(domain.xml) if domain.xml else None
    except InvalidDefinition:
        return None


def known_of(domain: Domain, definition: Tuning | None) -> Tuning:
    """What it has, as the collector saw it. Only disks that have limits at all; shares are its definition's."""
    stored, stored_groups = (definition.disks, definition.groups) if definition else ({}, {})
    disks = {disk["target"]: disk for disk in domain.disks if disk["target"]}
    groups = {  # a drive may be in one, too
        target: group
        for target, disk in disks.items()
        if (group := disk.get("limit_group", stored_groups.get(target, "")))
    }
    limits = shared({target: disk.get("limits", stored.get(target, {})) for target, disk in disks.items()}, groups)
    return Tuning(
        vcpus=domain.vcpus,
        memory_kib=domain.memory_kib,
        cpu_shares=definition.cpu_shares if definition else None,
        disks={target: its for target, its in limits.items() if disks[target]["device"] not in _NOT_TUNED},
        groups=groups,
    )


def loads_of(domain: Domain, groups: Mapping[str, str]) -> Loads:
    """One request to the history store; none of a guest that is off. `groups`: that of each disk which is in one."""
    if not domain.is_active:
        return Loads({}, {})
    end = int(time.time()) // _STEP_S * _STEP_S
    only = labels(uuid=str(domain.pk))
    asked = {
        key: Asked(
            f"sum by (target_device) ({rate(f'libvirt_domain_block_stats_{counter}_total{only}', _OVER)})",
            "target_device",
        )
        for key, counter in _COUNTERS.items()
    }
    try:
        found = read(asked, range(end - _HOUR_S, end + 1, _STEP_S))
    except Unavailable as error:
        return Loads({}, {}, error.message)
    by_disk: dict[str, dict[str, Load]] = {}
    for (key, target), values in found.items():
        if load := _load(key, values):
            by_disk.setdefault(target, {})[key] = load
    of_groups: dict[str, dict[str, Load]] = {}
    for target in groups:
        for key in _COUNTERS:
            disks = [series for one in together(target, groups) if (series := found.get((key, one)))]
            if load := _load(key, [_sum(values) for values in zip(*disks, strict=True)]):
                of_groups.setdefault(target, {})[key] = load
    return Loads(by_disk, of_groups)


def _load(key: str, values: Sequence[float | None]) -> Load | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Load(key, next((value for value in reversed(values[-3:]) if value is not None), None), max(known))


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def shares_beside(domain: Domain, user: User) -> list[int]:
    """The CPU shares of the other guests that run on its host; 0: none of its own. One query."""
    others = domain.host.domains.visible_to(user).filter(state__in=ACTIVE_STATES).exclude(pk=domain.pk)
    found = []
    for xml in others.values_list("xml", flat=True):
        try:
            found.append((Tuning.parse(xml).cpu_shares if xml else 0) or 0)
        except InvalidDefinition:
            found.append(0)
    return found


def last_tune(domain: Domain) -> Job | None:
    """The last one that came about, which is what an undo is of."""
    done = Job.objects.filter(kind="domain.tune", target_id=str(domain.pk), state=Job.State.SUCCEEDED)
    return done.order_by("-finished_at").first()
