"""The fleet as it would be with more hosts or more guests. Nothing is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from domains.capacity.failure import Failure, fail_each, free_memory, free_vcpus
from domains.capacity.findings import LEAST_HOURS
from domains.capacity.models import Outlook, Resource, Scope
from domains.capacity.needs import OWN, Need, Park, why_not
from domains.capacity.outlooks import FULL, days_of, foreseen
from domains.capacity.placing import pack
from domains.capacity.takers import CPU_RATIO, Taker, by_name, takers_of
from domains.capacity.words import foresight
from domains.models import Domain, GuestUse
from hosts.models import Host
from storage.models import Pool, Volume

if TYPE_CHECKING:
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class Wish:
    """What is added. `ratio` is how far memory may be given beyond what there is; with more than `cpu_ratio` vCPUs per
    CPU a host is crowded."""

    hosts: int = 0
    like_host: Host | None = None
    guests: int = 0
    like_guest: Domain | None = None
    ratio: float = 1.0
    cpu_ratio: float = CPU_RATIO

    @property
    def is_empty(self) -> bool:
        return not self.hosts and not self.guests and self.ratio == 1.0 and self.cpu_ratio == CPU_RATIO


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and after, in words."""

    name: str
    resource: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Answer:
    wish: Wish
    before: Park
    after: Park
    placed: list[Taker]
    """The hosts that take new guests, as they are before that."""
    unplaced: int
    why_unplaced: str
    failures_before: list[Failure]
    failures_after: list[Failure]
    forecasts: list[Change]
    disk_bytes: int | None
    """What the disks of one such guest take now; None where they are not in known pools."""
    disk_free_bytes: int
    cpu_known: bool
    """Whether the CPU need of one such guest was measured."""

    @property
    def fits(self) -> int:
        return sum(taker.guests for taker in self.placed)

    @property
    def tight(self) -> list[Taker]:
        """Hosts with too little CPU for the new guests."""
        return [taker for taker in self.placed if taker.is_tight]

    @property
    def disks_fit(self) -> int | None:
        """For how many guests there is room for disks."""
        if not self.disk_bytes:
            return None
        return min(self.wish.guests, self.disk_free_bytes // self.disk_bytes)

    @property
    def sinking_before(self) -> list[Failure]:
        return [failure for failure in self.failures_before if failure.stranded]

    @property
    def sinking_after(self) -> list[Failure]:
        return [failure for failure in self.failures_after if failure.stranded]

    @property
    def tight_before(self) -> list[Failure]:
        return [failure for failure in self.failures_before if failure.tight]

    @property
    def tight_after(self) -> list[Failure]:
        return [failure for failure in self.failures_after if failure.tight]

    @property
    def totals(self) -> list[tuple[str, Totals]]:
        return [("now", totals_of(self.before, self.wish.ratio)), ("then", totals_of(self.after, self.wish.ratio))]


@dataclass(frozen=True, slots=True)
class Totals:
    hosts: int
    guests: int
    vcpus: int
    cpus: int
    given_kib: int
    total_kib: int
    room_kib: int

    @property
    def cpu_ratio(self) -> float | None:
        return self.vcpus / self.cpus if self.cpus else None

    @property
    def given_percent(self) -> float | None:
        return 100 * self.given_kib / self.total_kib if self.total_kib else None


def totals_of(park: Park, ratio: float) -> Totals:
    machines = park.machines.values()
    return Totals(
        len(machines),
        sum(machine.guests for machine in machines),
        sum(machine.vcpus for machine in machines),
        sum(machine.cpus for machine in machines),
        sum(machine.given_kib for machine in machines),
        sum(machine.total_kib for machine in machines),
        sum(machine.free_kib(ratio) for machine in machines),
    )


def answer(park: Park, wish: Wish, user: User) -> Answer:
    """For a person who sees all of the fleet."""
    after = _with_hosts(park, wish)
    placed: list[Taker] = []
    unplaced, why = 0, ""
    use = GuestUse.objects.visible_to(user).filter(domain=wish.like_guest).first() if wish.like_guest else None
    if wish.guests and wish.like_guest:
        placed, unplaced, why = _add_guests(after, wish, wish.like_guest, use)
    size, free = _disks(wish.like_guest, user) if wish.like_guest else (None, 0)
    return Answer(
        wish=wish,
        before=park,
        after=after,
        placed=placed,
        unplaced=unplaced,
        why_unplaced=why,
        failures_before=fail_each(park, ratio=wish.ratio, cpu_ratio=wish.cpu_ratio),
        failures_after=fail_each(after, ratio=wish.ratio, cpu_ratio=wish.cpu_ratio),
        forecasts=_forecasts(wish, use, size, user),
        disk_bytes=size,
        disk_free_bytes=free,
        cpu_known=use is not None,
    )


def _with_hosts(park: Park, wish: Wish) -> Park:
    """A copy with new, empty hosts; their keys are negative."""
    machines = {pk: replace(machine) for pk, machine in park.machines.items()}
    pattern = machines.get(wish.like_host.pk) if wish.like_host else None
    if pattern:
        for number in range(1, wish.hosts + 1):
            machines[-number] = replace(
                pattern, pk=-number, name=f"{pattern.name}, new {number}", machine=None, obstacle="",
                given_kib=0, vcpus=0, guests=0, cpu_busy=0.0, unmeasured=0,
            )  # fmt: skip
    needs = {pk: list(needs) for pk, needs in park.needs.items()}
    return Park(machines, needs, park.folders, park.names, dict(park.used))


def _add_guests(park: Park, wish: Wish, guest: Domain, use: GuestUse | None) -> tuple[list[Taker], int, str]:
    """Each becomes a guest of the host that it is placed on. Disks of its own are made anew there."""
    demand = park.demand_of(guest)
    driver, arch, kind, networks, storages, width = demand
    asked = (driver, arch, kind, networks, storages - {OWN}, width)
    wanted = [
        Need(UUID(int=number).hex, f"{guest.name}, new {number}", 0, guest.vcpus, guest.max_memory_kib, asked)
        for number in range(1, wish.guests + 1)
    ]
    if use and use.hours >= LEAST_HOURS:
        park.used.update((need.key, max(use.cpu_mean, use.cpu_busy)) for need in wanted)
    free, vcpus = free_memory(park, wish.ratio), free_vcpus(park, wish.cpu_ratio)
    packing = pack(wanted, free, park.possible, vcpus)
    before = {pk: replace(park.machines[pk]) for pk in {pk for _, pk in packing.placed}}
    for need, pk in packing.placed:
        machine = park.machines[pk]
        machine.given_kib += need.memory_kib
        machine.vcpus += need.vcpus
        machine.guests += 1
        machine.unmeasured += need.key not in park.used
        if machine.cpu_busy is not None:
            machine.cpu_busy += park.used.get(need.key, 0.0)
        park.needs.setdefault(pk, []).append(replace(need, host=pk, demand=demand))
    why = ""
    if packing.unplaced:
        able = park.possible(packing.unplaced[0])
        reasons = Counter(why_not(asked, machine) for machine in park.machines.values())
        why = "No host has enough memory left." if able else f"No host {reasons.most_common(1)[0][0]}."
    coming = [(need, before[pk]) for need, pk in packing.placed]
    takers = takers_of(coming, park.used, wish.cpu_ratio, wish.ratio)
    return by_name(takers), len(packing.unplaced), why


def _disks(guest: Domain, user: User) -> tuple[int | None, int]:
    """What its disks take, and how much is free where they are: bytes."""
    paths = [disk["source"] for disk in guest.disks if disk.get("device", "disk") == "disk" and disk.get("source")]
    volumes = list(
        Volume.objects.visible_to(user).filter(pool__host=guest.host_id, path__in=paths).select_related("pool")
    )
    if not volumes:
        return None, 0
    pools = {volume.pool.storage_id or -volume.pool.pk: volume.pool for volume in volumes}
    free = sum(pool.available_bytes for pool in pools.values())
    own = [pool for pool in pools.values() if not pool.storage_id]
    alike = Pool.objects.visible_to(user).filter(
        path__in=[pool.path for pool in own], storage=None, state=Pool.State.RUNNING
    )
    free += sum(pool.available_bytes for pool in alike if pool.pk not in {one.pk for one in own})
    return sum(volume.allocation_bytes for volume in volumes), free


def _forecasts(wish: Wish, use: GuestUse | None, disk_bytes: int | None, user: User) -> list[Change]:
    """Those of the fleet, with limits and levels as they would be from today on."""
    found = []
    for outlook in Outlook.objects.visible_to(user).filter(scope=Scope.FLEET, resource__in=FULL).order_by("resource"):
        more, grown = _grown(outlook.resource, wish, use, disk_bytes)
        later = replace_limit(outlook, outlook.limit + FULL[Resource(outlook.resource)] * grown, more)
        name = str(outlook.get_resource_display())
        found.append(Change(name, outlook.resource, foresight(outlook), foresight(later)))
    return found


def _grown(resource: str, wish: Wish, use: GuestUse | None, disk_bytes: int | None) -> tuple[float, float]:
    """What is used more, and how much more there is: CPUs or bytes."""
    guest, host = wish.like_guest, wish.like_host
    memory = guest.max_memory_kib * 1024 if guest else 0
    needed: Mapping[str, float] = {
        Resource.CPU: use.cpu_busy if use else 0.0,
        Resource.MEMORY: memory,
        Resource.GIVEN: memory,
        Resource.STORAGE: disk_bytes or 0,
    }
    offered: Mapping[str, float] = {
        Resource.CPU: host.cpus if host else 0,
        Resource.MEMORY: host.memory_kib * 1024 if host else 0,
        Resource.GIVEN: host.memory_kib * 1024 * wish.ratio if host else 0,
        Resource.STORAGE: 0,
    }
    return wish.guests * needed.get(resource, 0), wish.hosts * offered.get(resource, 0)


def replace_limit(outlook: Outlook, limit: float, more: float) -> Outlook:
    """The same past, with `more` in use and another limit."""
    days: Sequence[tuple[str, float]] = [(when, value + more) for when, value in outlook.days]
    later = Outlook(
        scope=outlook.scope, key=outlook.key, resource=outlook.resource, days=days, limit=limit, total=outlook.total
    )
    for name, value in foreseen(days_of(later), limit).items():
        setattr(later, name, value)
    return later
