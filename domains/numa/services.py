"""Asking for a guest to be placed in its host's cells, and for that to be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domains.actions import cannot, host_obstacle
from domains.models import Domain
from domains.numa.findings import Cell, GuestPlaces, confined, outgrows, proposal, shortage
from domains.numa.job import PLACE, WITH_MEMORY
from domains.numa.selectors import cells_of, places_of
from domains.permitted import check_permitted
from vmdash.access.models import User
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, InvalidInput, NotFound
from vmdash.formats import kib
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.live import cache
from vmdash.live.messages import Tick
from vmdash.virt import cpuset
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.placement import Placement, virsh_commands

FREE = "free"
"""Instead of a cell: nothing is pinned, and there is no memory policy."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`warning`: why the cell that it would get may be too full for it, in words; empty otherwise."""

    placement: Placement
    warning: str


def wanted(guest: Domain, choice: str, tick: Tick | None) -> Wanted:
    """What the guest gets: by `choice` "" what puts right what is wrong, `FREE`, or the number of a cell.

    `tick` is the newest of its host. Needs `guest.host`.

    Raises:
        InvalidInput: there is no such cell. Conflict: it does not fit there; nothing is wrong, or nothing would put it
        right.
    """
    places, cells = known_places(guest, tick), cells_of(guest.host, tick)
    placement = _chosen(guest, choice, places, cells)
    warnings = (shortage(places, cell) for cell in cells if placement.cells == (cell.number,))
    return Wanted(placement, next(warnings, ""))


def _chosen(guest: Domain, choice: str, places: GuestPlaces, cells: Sequence[Cell]) -> Placement:
    if choice == FREE:
        return Placement()
    if choice:
        chosen = next((cell for cell in cells if str(cell.number) == choice), None)
        if chosen is None:
            raise InvalidInput(f"{guest.host.name} has no cell {choice[:10]!r}.")
        if guest.vcpus > len(chosen.cpus):
            raise Conflict(
                f"{guest.name} has {guest.vcpus} vCPUs, and cell {chosen.number} has {len(chosen.cpus)} CPUs.",
                hint="Choose a larger cell, or none.",
            )
        placement = confined(places, chosen)
        if outgrows(places, chosen):
            raise Conflict(
                f"{guest.name} may use {kib(guest.memory_kib)} of memory, and cell {chosen.number} has "
                f"{kib(chosen.memory_kib)} in all: by a memory policy that is {placement.mode} it could have none from "
                "elsewhere.",
                hint="Choose a larger cell, or none.",
            )
        return placement
    found = proposal(places, cells)
    if found is None:
        raise Conflict(f"Nothing is known to be wrong with where {guest.name} runs.")
    return found


def place(*, domain: Domain, choice: str, user: User) -> Job:
    """Have it done. Raises as `wanted`, and NotPermitted, JobInTheWay."""
    tick = cache.ticks([domain.host_id]).get(domain.host_id)
    return _request(domain, wanted(domain, choice, tick).placement, user)


def last_place(domain: Domain) -> Job | None:
    """The last one that came about, which is what an undo is of."""
    done = Job.objects.filter(
        kind=PLACE.name, target_kind="domain", target_id=str(domain.pk), state=Job.State.SUCCEEDED
    )
    return done.order_by("-finished_at").first()


def place_as_part(*, domain: Domain, placement: Placement, user: User, parent: Job) -> Job:
    """Have it placed so, as a part of another job; it fails where the memory would be left in other cells. Raises
    NotPermitted, Conflict, JobInTheWay."""
    return _request(domain, placement, user, parent=parent, with_memory=True)


def undo(*, domain: Domain, user: User, parent: Job | None = None) -> Job:
    """Set again what held before the last placement. Raises NotFound: there was none; NotPermitted, JobInTheWay."""
    job = last_place(domain)
    if job is None or "before" not in job.parameters:
        raise NotFound(f"Nobody has placed {domain.name} by vmdash.")
    return _request(domain, Placement.of(job.parameters["before"]), user, undoes=job, parent=parent)


def again(*, job: Job, user: User) -> Job:
    domain = Domain.objects.visible_to(user).select_related("host").filter(pk=job.target_id).first()
    if domain is None:
        raise NotFound(f"{job.target_name} is not in the inventory any more.")
    with_memory = job.parameters.get(WITH_MEMORY, False)
    return _request(domain, Placement.of(job.parameters["after"]), user, with_memory=with_memory)


def words_of(placement: Placement) -> str:
    """ "vCPU 0 on CPU 0-7; memory from cell 0 (strict)" """
    by_cpus: dict[tuple[int, ...], list[int]] = {}
    for number, cpus in sorted(placement.pins.items()):
        by_cpus.setdefault(tuple(cpus), []).append(number)
    parts = [
        f"vCPU{'s' if len(numbers) > 1 else ''} {cpuset.text_of(numbers)} on CPU {cpuset.text_of(cpus)}"
        for cpus, numbers in by_cpus.items()
    ]
    if placement.emulator:
        parts.append(f"emulator on CPU {cpuset.text_of(placement.emulator)}")
    if placement.mode:
        parts.append(f"memory from cell {cpuset.text_of(placement.cells)} ({placement.mode})")
    return "; ".join(parts) or "anywhere"


def known_places(guest: Domain, tick: Tick | None) -> GuestPlaces:
    """As `selectors.places_of`, with the mode of its memory policy as in its definition."""
    places = places_of(guest, tick)
    return replace(places, placement=replace(places.placement, mode=_mode_of(guest) or places.placement.mode))


def _mode_of(guest: Domain) -> str:
    """Empty where its definition has no memory policy, or cannot be read."""
    try:
        return Placement.parse(guest.xml).mode if guest.xml else ""
    except InvalidDefinition:
        return ""


def _request(
    domain: Domain,
    wanted: Placement,
    user: User,
    *,
    undoes: Job | None = None,
    parent: Job | None = None,
    with_memory: bool = False,
) -> Job:
    title = f"Place {domain.name} {_where(wanted)}" if undoes is None else f"Undo: {undoes.label}"
    check_permitted(user, Permission.OPERATE, domain, PLACE.name)
    if reason := host_obstacle(domain.host):
        raise Conflict(cannot(title, reason))
    return jobs.create(
        kind=PLACE,
        user=user,
        target=jobs.Target(kind="domain", id=str(domain.pk), name=domain.name, host_name=domain.host.name),
        label=title,
        parameters={"after": wanted.stored(), WITH_MEMORY: with_memory},
        virsh=virsh_commands(domain.name, wanted, tuple(range(domain.host.cpus)), domain.vcpus),
        parent=parent,
    )


def _where(wanted: Placement) -> str:
    if wanted.mode:
        return f"in cell {cpuset.text_of(wanted.cells)}"
    return (
        f"on CPU {cpuset.text_of({cpu for cpus in wanted.pins.values() for cpu in cpus})}"
        if wanted.pins
        else "anywhere"
    )
