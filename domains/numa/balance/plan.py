"""What would be done about the cells of a host, for the page and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.actions import host_obstacle
from domains.figures import is_fresh, sample_of
from domains.models import ACTIVE_STATES, Domain
from domains.numa.balance.planner import Candidate, propose
from domains.numa.findings import Finding, Kind, confined, is_uneven, uneven
from domains.numa.page import words_before
from domains.numa.selectors import cells_of, loads_of
from domains.numa.services import known_places, words_of
from hosts.models import Host
from vmdash.access.roles import Permission
from vmdash.live import cache

if TYPE_CHECKING:
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """`now` and `then` are pinning and memory policy in words."""

    guest: Domain
    cell: int
    now: str
    then: str


@dataclass(frozen=True, slots=True)
class CellChange:
    """CPU used, percent of the cell's: now, and about so much then."""

    number: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Staying:
    guest: Domain
    why: str


@dataclass(frozen=True, slots=True)
class BalancePlan:
    """`obstacle`: why nothing can be done, in a sentence; empty otherwise. There are no moves then."""

    finding: Finding | None
    moves: Sequence[PlannedMove]
    cells: Sequence[CellChange]
    staying: Sequence[Staying]
    obstacle: str

    @property
    def is_enough(self) -> bool:
        """The cells are in balance afterwards."""
        return not is_uneven([cell.after for cell in self.cells])

    @property
    def asks_for_memory(self) -> bool:
        """One of the guests runs with memory from other cells: it is placed only if its host moves that."""
        return any(move.guest.numa_cells not in ([], [move.cell]) for move in self.moves)


def may_balance(host: Host, user: User) -> bool:
    """Whether there is a guest on it that they may operate."""
    return Domain.objects.open_to(user, Permission.OPERATE).filter(host=host).exists()


def plan_balance(host: Host, user: User) -> BalancePlan:
    """Of the guests that `user` may operate. Two queries, one round trip to the live cache."""
    tick = cache.ticks([host.pk]).get(host.pk)
    cells = cells_of(host, tick)
    guests = list(Domain.objects.visible_to(user).filter(host=host, state__in=ACTIVE_STATES).order_by("name"))
    for guest in guests:
        guest.host = host
    loads = loads_of(cells, tick, guests)
    finding = next((found for found in uneven(loads) if found.kind is Kind.UNEVEN), None)
    if reason := host_obstacle(host, host.name):
        return _nothing(finding, reason)
    if tick is None or not is_fresh(tick):
        return _nothing(finding, f"How busy the cells of {host.name} are is not known now.")
    if finding is None:
        return _nothing(None, f"The CPUs of {host.name}'s cells are in balance.")
    operated = set(Domain.objects.open_to(user, Permission.OPERATE).filter(host=host).values_list("pk", flat=True))
    ticks = {host.pk: tick}
    candidates = [
        Candidate(guest.pk, known_places(guest, tick), sample["cpu"] if sample else None)
        for guest in guests
        if guest.pk in operated
        for sample in [sample_of(ticks, host.pk, guest.pk)]
    ]
    proposal = propose(cells, {load.number: load.cpu for load in loads if load.cpu is not None}, candidates)
    by_key = {guest.pk: guest for guest in guests}
    moves = [
        PlannedMove(
            by_key[move.candidate.uuid],
            move.cell.number,
            words_before(by_key[move.candidate.uuid]),
            words_of(confined(move.candidate.places, move.cell)),
        )
        for move in proposal.moves
    ]
    return BalancePlan(
        finding,
        moves,
        [CellChange(number, proposal.before[number], proposal.after[number]) for number in sorted(proposal.after)],
        [Staying(by_key[uuid], why) for uuid, why in proposal.staying.items()],
        "" if moves else "No guest that you may operate can be moved so that it gets better.",
    )


def _nothing(finding: Finding | None, why: str) -> BalancePlan:
    return BalancePlan(finding, [], [], [], why)
