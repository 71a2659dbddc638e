"""What pages show of NUMA: cells with what runs in them, and guests that are misplaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domains.figures import is_fresh
from domains.models import ACTIVE_STATES, Domain
from domains.numa.findings import Cell, CellLoad, Finding, GuestPlaces, cell_of, find
from hosts.models import Host
from vmdash.jobs.models import Job
from vmdash.live import cache
from vmdash.live.messages import Tick
from vmdash.virt import cpuset
from vmdash.virt.xml.placement import Placement

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from domains.models import DomainQuerySet
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class VcpuShown:
    """Where a vCPU was seen last; `cell` is None where that is not known. `away`: not where its memory comes from."""

    guest: Domain
    number: int
    cpu: int | None
    cell: int | None
    away: bool
    pinned: str


@dataclass(frozen=True, slots=True)
class Misplaced:
    guest: Domain
    finding: Finding


@dataclass(frozen=True, slots=True)
class NumaPart:
    """What the CPU part of a guest's page shows of NUMA."""

    cells: list[Cell]
    vcpus: list[VcpuShown]
    finding: Finding | None
    undoes: Job | None
    """The last placement, which can be undone."""
    looked_at: int | None
    """When it was looked where the vCPUs are, in Unix milliseconds."""


def numa_part(guest: Domain, tick: Tick | None) -> NumaPart:
    """One query. Needs `guest.host`."""
    from domains.numa.services import last_place

    last = last_place(guest)
    return NumaPart(
        cells=cells_of(guest.host, tick),
        vcpus=vcpus_of(guest, tick) if guest.is_active else [],
        finding=finding_of(guest, tick),
        undoes=last if last and "before" in last.parameters else None,
        looked_at=tick.get("looked_at") if tick else None,
    )


def cells_of(host: Host, tick: Tick | None = None) -> list[Cell]:
    """With the free memory that the newest tick tells, while it is fresh."""
    fresh = _fresh(tick)
    told = fresh.get("cells", []) if fresh else []
    free = {one["cell"]: one["mem_free"] for one in told if one["mem_total"]}
    return [
        Cell(
            cell["id"], tuple(sorted(cell["cpus"])), cell["memory_kib"], tuple(cell["distances"]), free.get(cell["id"])
        )
        for cell in host.cells
    ]


def _fresh(tick: Tick | None) -> Tick | None:
    """What is found wrong is said of now, so figures that are old tell nothing."""
    return tick if tick and is_fresh(tick) else None


def places_of(guest: Domain, tick: Tick | None) -> GuestPlaces:
    """As its row and the newest tick tell, while that is fresh. The stored columns stand for its definition, so that
    tables need no XML. They do not hold the mode of a memory policy, so "strict" stands for any: what is set takes it
    from the definition.
    """
    placement = Placement(
        pins={int(number): tuple(cpus) for number, cpus in guest.vcpu_pins.items()},
        mode="strict" if guest.numa_cells else "",
        cells=tuple(guest.numa_cells),
    )
    return GuestPlaces(guest.name, guest.vcpus, guest.memory_kib, placement, _seen(guest, _fresh(tick)))


def _seen(guest: Domain, tick: Tick | None) -> dict[int, int]:
    """The CPUs that its vCPUs were seen on last, by vCPU."""
    told: Mapping[str, Any] = tick.get("places", {}).get(str(guest.pk), {}) if tick else {}
    return {int(number): cpu for number, cpu in told.items() if cpu is not None} if guest.is_active else {}


def loads_of(cells: Sequence[Cell], tick: Tick | None, guests: Iterable[Domain]) -> list[CellLoad]:
    """Of the cells that the tick tells of, while it is fresh; `guests` are those of the host that may be named."""
    fresh = _fresh(tick)
    samples = {one["cell"]: one for one in fresh.get("cells", [])} if fresh else {}
    told, named = [(cell, samples[cell.number]) for cell in cells if cell.number in samples], list(guests)
    return [
        CellLoad(
            cell.number,
            sample["cpu"],
            sample["mem_free"],
            sample["mem_total"],
            tuple(guest.name for guest in named if _is_held(guest, cell)),
        )
        for cell, sample in told
    ]


def _is_held(guest: Domain, cell: Cell) -> bool:
    """Nothing of it may go elsewhere: all of its pins, or its memory policy, are within the cell."""
    pinned = [cpu for cpus in guest.vcpu_pins.values() for cpu in cpus]
    return guest.numa_cells == [cell.number] or (bool(pinned) and set(pinned) <= set(cell.cpus))


def finding_of(guest: Domain, tick: Tick | None) -> Finding | None:
    """What is wrong with where a running guest is. Needs `guest.host`."""
    return find(places_of(guest, tick), cells_of(guest.host, tick)) if guest.is_active else None


def vcpus_of(guest: Domain, tick: Tick | None) -> list[VcpuShown]:
    """Each vCPU of a running guest. Needs `guest.host`."""
    cells, places = cells_of(guest.host), _seen(guest, tick)
    policy = set(guest.numa_cells)
    found = []
    for number in range(guest.vcpus):
        cpu = places.get(number)
        cell = None if cpu is None else cell_of(cells, cpu)
        pins = guest.vcpu_pins.get(str(number), [])
        away = bool(policy) and cell is not None and cell not in policy
        found.append(VcpuShown(guest, number, cpu, cell, away, _pin_words(pins, guest.host)))
    return found


def vcpus_on(user: User | AnonymousUser, host: Host, tick: Tick | None) -> list[VcpuShown]:
    """Of all running guests of a host that the person may see. One query."""
    return [shown for guest in _active_on(user, host) for shown in vcpus_of(guest, tick)]


def misplaced_on(user: User | AnonymousUser, hosts: Sequence[Host]) -> list[Misplaced]:
    """Those on these hosts that the person may see. One query, and one round trip for the ticks."""
    return misplaced_among(Domain.objects.visible_to(user), hosts)


def misplaced_among(guests: DomainQuerySet, hosts: Sequence[Host]) -> list[Misplaced]:
    """On hosts with more than one cell. Of the guests, only what is needed here is read."""
    several = {host.pk: host for host in hosts if len(host.cells) > 1}
    if not several:
        return []
    ticks = cache.ticks(several)
    cells = {pk: cells_of(host) for pk, host in several.items()}
    found = []
    active = guests.filter(host__in=several, state__in=ACTIVE_STATES).only(*_PLACE_FIELDS)
    for guest in active.order_by("name"):
        guest.host = several[guest.host_id]
        if finding := find(places_of(guest, ticks.get(guest.host_id)), cells[guest.host_id]):
            found.append(Misplaced(guest, finding))
    return found


_PLACE_FIELDS = ("name", "host_id", "state", "vcpus", "memory_kib", "numa_cells", "vcpu_pins")


def _active_on(user: User | AnonymousUser, host: Host) -> list[Domain]:
    guests = list(host.domains.visible_to(user).filter(state__in=ACTIVE_STATES).defer("xml").order_by("name"))
    for guest in guests:
        guest.host = host
    return guests


def _pin_words(cpus: Sequence[int], host: Host) -> str:
    if not cpus or len(cpus) >= host.cpus:
        return ""
    return f"pinned to CPU {cpuset.text_of(cpus)}"
