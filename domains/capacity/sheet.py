"""The capacity page as data: the fleet, its sites and hosts, each with what is given, used, free and foreseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import fsum
from typing import TYPE_CHECKING, Any

from django.db.models import Sum

from domains.capacity.failure import Failure, fail_each
from domains.capacity.findings import LEAST_HOURS, Finding, Use, judge
from domains.capacity.models import SHARES, CapacityRecord, Outlook, Resource, Scope
from domains.capacity.needs import Machine, Park, read_park
from domains.capacity.outlooks import FULL, by_scope
from domains.capacity.stores import distinct, taken_bytes
from domains.capacity.uses import uses_of
from domains.models import Domain
from hosts.models import Host
from hosts.overcommit import ratio
from storage.models import Pool, Volume
from vmdash.formats import natural

if TYPE_CHECKING:
    from vmdash.access.models import User

KINDS = ("starved", "oversized", "idle")
FILLING = (Resource.CPU, Resource.MEMORY, Resource.GIVEN, Resource.STORAGE)
_BANDS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (6, None))
_HOST_FIELDS = (
    "name", "site__name", "driver", "enabled", "maintenance", "state", "host_uuid", "hardware_virtualization", "arch",
    "cpus", "memory_kib", "networks",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Room:
    """Storage, bytes. `promised` is how large its volumes may become."""

    total: int = 0
    taken: int = 0
    promised: int = 0

    @property
    def free(self) -> int:
        return self.total - self.taken

    @property
    def fill(self) -> float | None:
        return 100 * self.taken / self.total if self.total else None

    @property
    def ratio(self) -> float | None:
        """None where no volume is known."""
        return self.promised / self.total if self.total and self.promised else None


@dataclass(frozen=True, slots=True)
class Line:
    """The fleet, a site or a host. Memory is what guests that are active may use at most."""

    scope: Scope
    key: str
    name: str
    machines: Sequence[Machine]
    storage: Room
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def guests(self) -> int:
        return sum(machine.guests for machine in self.machines)

    @property
    def cpus(self) -> int:
        return sum(machine.cpus for machine in self.machines)

    @property
    def vcpus(self) -> int:
        return sum(machine.vcpus for machine in self.machines)

    @property
    def total_kib(self) -> int:
        return sum(machine.total_kib for machine in self.machines)

    @property
    def given_kib(self) -> int:
        return sum(machine.given_kib for machine in self.machines)

    @property
    def cpu_ratio(self) -> float | None:
        return ratio(self.vcpus, self.cpus)

    @property
    def memory_ratio(self) -> float | None:
        return ratio(self.given_kib, self.total_kib)

    @property
    def given_percent(self) -> float | None:
        return 100 * self.given_kib / self.total_kib if self.total_kib else None

    @property
    def memory_room_kib(self) -> int:
        """What can still be given without giving more than there is."""
        return sum(machine.free_kib() for machine in self.machines)

    @property
    def is_over(self) -> bool:
        return self.memory_room_kib < 0

    @property
    def memory_over_kib(self) -> int:
        return -self.memory_room_kib

    def busy(self, resource: Resource) -> float | None:
        found = self.outlooks.get(resource)
        return found.busy if found else None

    @property
    def cpu_busy(self) -> float | None:
        return self.busy(Resource.CPU)

    @property
    def cpu_percent(self) -> float | None:
        busy = self.cpu_busy
        return 100 * busy / self.cpus if busy is not None and self.cpus else None

    @property
    def cpu_room(self) -> float | None:
        busy = self.cpu_busy
        return FULL[Resource.CPU] * self.cpus - busy if busy is not None else None

    @property
    def memory_busy(self) -> float | None:
        """Bytes."""
        return self.busy(Resource.MEMORY)

    @property
    def memory_percent(self) -> float | None:
        busy = self.memory_busy
        return 100 * busy / (self.total_kib * 1024) if busy is not None and self.total_kib else None

    @property
    def steal_cpus(self) -> float | None:
        """CPUs' worth of time that guests waited for a CPU, on average."""
        found = self.outlooks.get(Resource.STEAL)
        return found.mean if found else None

    @property
    def steal_percent(self) -> float | None:
        """Of the CPU time that guests wanted."""
        had = self.outlooks.get(Resource.GUEST_CPU)
        lost = self.steal_cpus
        if lost is None or had is None or had.mean is None or had.mean + lost <= 0:
            return None
        return 100 * lost / (had.mean + lost)

    @property
    def first_full(self) -> Outlook | None:
        """What is foreseen to be full first."""
        found = [one for name in FILLING if (one := self.outlooks.get(name)) and one.full_at]
        return min(found, key=lambda one: one.full_at or date.max, default=None)

    @property
    def forecasts(self) -> list[Outlook]:
        return [self.outlooks[name] for name in FILLING if name in self.outlooks]

    @property
    def is_forecast(self) -> bool:
        return any(one.horizon for one in self.forecasts)


@dataclass(frozen=True, slots=True)
class Band:
    """Hosts whose overcommit is alike, and what their guests lose."""

    low: int
    high: int | None
    hosts: int
    steal_percent: float

    @property
    def words(self) -> str:
        return f"{self.low} × and more" if self.high is None else f"{self.low} to {self.high} ×"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a person sees. Where they see a part of the guests only, nothing is in it that counts others."""

    whole: bool
    fleet: Line
    sites: list[Line]
    hosts: list[Line]
    failures: list[Failure]
    findings: Mapping[str, list[Finding]]
    measured: int
    """Guests that run and were measured for long enough to be judged."""
    running: int
    record: CapacityRecord | None
    park: Park
    off_hosts: int = 0

    @property
    def sinking(self) -> list[Failure]:
        """Hosts whose failure is not survived, most guests left first."""
        return sorted((one for one in self.failures if one.stranded), key=lambda one: -len(one.stranded))

    @property
    def tight(self) -> list[Failure]:
        """Hosts whose failure leaves too little CPU to those that take over, most of them first."""
        return sorted((one for one in self.failures if one.tight), key=lambda one: -len(one.tight))

    @property
    def cpu_fits(self) -> bool:
        """Whether it is known that the CPU that guests used is there, whichever host fails."""
        return all(one.cpu_fits for one in self.failures if one.guests)

    @property
    def uncertain(self) -> int:
        return sum(one.uncertain for one in self.failures)

    @property
    def bands(self) -> list[Band]:
        found = []
        for low, high in _BANDS:
            inside = [
                line.steal_percent
                for line in self.hosts
                if line.steal_percent is not None
                and line.cpu_ratio is not None
                and low <= line.cpu_ratio < (high or float("inf"))
            ]
            if inside:
                found.append(Band(low, high, len(inside), sum(inside) / len(inside)))
        return found


def sees_all(user: User) -> bool:
    """Whether nothing is hidden from a person, so that figures which count everything may be shown."""
    return (
        Domain.objects.visible_to(user).count() == Domain.objects.present().count()
        and Host.objects.visible_to(user).count() == Host.objects.count()
    )


def sheet(user: User) -> Sheet:
    """Everything that `user` may see. The number of queries depends on nothing."""
    visible = Host.objects.visible_to(user).select_related("site").only(*_HOST_FIELDS)
    everything = sorted(visible, key=lambda host: natural(host.name))
    hosts = [host for host in everything if host.enabled]
    park = read_park(hosts, Domain.objects.visible_to(user))
    whole = sees_all(user)
    uses = uses_of(user)
    outlooks = _outlooks(user) if whole else {}
    _measure(park, outlooks, uses)
    failures = fail_each(park) if whole else []
    rooms = _rooms(user, park) if whole else {}
    by_host = {failure.machine.pk: failure for failure in failures}

    def line(scope: Scope, key: str, name: str, machines: Sequence[Machine]) -> Line:
        return Line(
            scope, key, name, machines, rooms.get((scope, key), Room()), outlooks.get((scope, key), {}),
            by_host.get(int(key)) if scope == Scope.HOST else None,
        )  # fmt: skip

    machines = list(park.machines.values())
    sites = sorted({machine.site for machine in machines if machine.site}, key=natural)
    return Sheet(
        whole=whole,
        fleet=line(Scope.FLEET, "", "Fleet", machines),
        sites=[line(Scope.SITE, name, name, [one for one in machines if one.site == name]) for name in sites],
        hosts=[line(Scope.HOST, str(one.pk), one.name, [one]) for one in machines],
        failures=failures,
        findings=findings_of(uses),
        measured=sum(use.hours >= LEAST_HOURS for use in uses),
        running=sum(machine.guests for machine in machines),
        record=CapacityRecord.objects.filter(pk=1).first(),
        park=park,
        off_hosts=len(everything) - len(hosts),
    )


def _measure(park: Park, outlooks: Mapping[tuple[str, str], Mapping[str, Outlook]], uses: Iterable[Use]) -> None:
    """Note in the park how much CPU hosts and guests really used."""
    known = {use.key: use for use in uses if use.hours >= LEAST_HOURS}
    # Who is busy for an hour a day is so in fewer than 5 % of the hours; the mean knows of it.
    park.used.update((key, max(use.cpu_mean, use.cpu_busy)) for key, use in known.items())
    for machine in park.machines.values():
        keys = [need.key for need in park.needs.get(machine.pk, []) if need.key in known]
        machine.unmeasured = machine.guests - len(keys)
        row = outlooks.get((Scope.HOST, str(machine.pk)), {}).get(Resource.CPU)
        if row is None or row.busy is None or row.mean is None or row.hours < LEAST_HOURS:
            continue
        machine.cpu_busy = row.busy
        mean = fsum(known[key].cpu_mean for key in keys)
        if mean > row.mean:  # some came lately: what they need is not in what the host used
            machine.cpu_busy += (1 - row.mean / mean) * fsum(park.used[key] for key in keys)


def findings_of(uses: Iterable[Use]) -> dict[str, list[Finding]]:
    """By kind, the weightiest first."""
    found: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for use in uses:
        for finding in judge(use):
            found[finding.kind].append(finding)
    for findings in found.values():
        findings.sort(key=lambda finding: (-finding.weight, finding.use.name))
    return found


def _outlooks(user: User) -> dict[tuple[str, str], dict[str, Outlook]]:
    """Without their days, of which only a chart has need."""
    rows = by_scope(
        Outlook.objects.visible_to(user)
        .filter(scope__in=(Scope.FLEET, Scope.SITE, Scope.HOST))
        .exclude(resource__in=SHARES)
        .defer("days")
    )
    found: dict[tuple[str, str], dict[str, Outlook]] = {}
    for (scope, key, resource), row in rows.items():
        found.setdefault((scope, key), {})[resource] = row
    return found


def _rooms(user: User, park: Park) -> dict[tuple[str, str], Room]:
    """Storage of the fleet, its sites and hosts; what several pools show counts once in each."""
    pools = list(
        Pool.objects.visible_to(user)
        .filter(host__in=park.machines)
        .order_by("pk")
        .only("host_id", "name", "type", "state", "storage_id", "capacity_bytes", "available_bytes")
    )
    volumes = Volume.objects.visible_to(user).order_by().values_list("pool_id")
    promised = dict(volumes.annotate(bytes=Sum("capacity_bytes")).values_list("pool_id", "bytes"))
    groups: dict[tuple[str, str], list[Pool]] = {}
    for pool in pools:
        site = park.machines[pool.host_id].site
        for group in ((Scope.FLEET, ""), (Scope.SITE, site), (Scope.HOST, str(pool.host_id))):
            groups.setdefault((str(group[0]), group[1]), []).append(pool)
    return {key: _room(members, promised) for key, members in groups.items()}


def _room(pools: Iterable[Pool], promised: Mapping[int, int]) -> Room:
    some = distinct(pools)
    return Room(
        sum(pool.capacity_bytes for pool in some),
        sum(map(taken_bytes, some)),
        sum(promised.get(pool.pk, 0) for pool in some),
    )


def _least(value: Any) -> Any:
    return -1 if value is None else value


SORTS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: natural(line.name),
    "guests": lambda line: line.guests,
    "ratio": lambda line: _least(line.cpu_ratio),
    "cpu": lambda line: _least(line.cpu_percent),
    "steal": lambda line: _least(line.steal_percent),
    "given": lambda line: _least(line.given_percent),
    "memory": lambda line: _least(line.memory_percent),
    "storage": lambda line: _least(line.storage.fill),
    "fails": lambda line: (len(line.failure.stranded), len(line.failure.tight)) if line.failure else (0, 0),
    "full": lambda line: line.first_full.full_at if line.first_full else date.max,
}
"""What hosts can be sorted by, by the name in the URL; with a minus the other way round."""
SORT_CHOICES = [*SORTS, *(f"-{name}" for name in SORTS)]
