"""What is to be known before a guest is placed in its host's cells: for the page and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.models import Domain
from domains.numa import selectors, services
from domains.numa.findings import Cell, Finding
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, InvalidInput
from vmdash.live import cache
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.placement import MOVABLE_MODE, Placement

if TYPE_CHECKING:
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class PlacePage:
    """`before` and `after` are words; `after` is empty where nothing can be set, and `refused` says why."""

    cells: Sequence[Cell]
    finding: Finding | None
    before: str
    after: str
    refused: Conflict | InvalidInput | None
    policy_waits: bool
    """The memory policy counts from its next start only."""
    policy_moves: bool
    """The host is asked to move its memory at once; where it refuses, the policy counts from its next start."""
    warning: str
    """The cell that it would get may be too full; empty otherwise. It can be had all the same."""

    @property
    def tells_free(self) -> bool:
        """The free memory of cells is known."""
        return any(cell.free_kib is not None for cell in self.cells)

    @property
    def obstacle(self) -> str:
        return str(self.refused or "")


def place_page(domain: Domain, choice: str, user: User) -> PlacePage:
    """`choice` as in `services.wanted`. Needs `domain.host`. What is free in the cells is told to those who
    may see the host."""
    tick = cache.ticks([domain.host_id]).get(domain.host_id)
    wanted: services.Wanted | None = None
    refused: Conflict | InvalidInput | None = None
    try:
        wanted = services.wanted(domain, choice, tick)
    except (Conflict, InvalidInput) as error:
        refused = error
    mode = wanted.placement.mode if wanted else ""
    is_movable = mode == MOVABLE_MODE and bool(domain.numa_cells)
    changes_cells = wanted is not None and wanted.placement.cells != tuple(domain.numa_cells)
    sees_host = can(user, Permission.VIEW, domain.host)
    return PlacePage(
        cells=selectors.cells_of(domain.host, tick if sees_host else None),
        finding=selectors.finding_of(domain, tick),
        before=words_before(domain),
        after=services.words_of(wanted.placement) if wanted else "",
        refused=refused,
        policy_waits=bool(mode) and not is_movable and domain.is_active,
        policy_moves=is_movable and changes_cells and domain.is_active,
        warning=wanted.warning if wanted and sees_host else "",
    )


def words_before(domain: Domain) -> str:
    """What its definition says."""
    try:
        return services.words_of(Placement.parse(domain.xml)) if domain.xml else "not read yet"
    except InvalidDefinition:
        return "not known: its definition cannot be understood"
