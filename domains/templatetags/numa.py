"""The NUMA cells of a host with what runs in them: `{% load numa %}`.

{% numa_of page as numa %}     a `ShownCells`; None for a host with one cell
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import template

from domains.numa.balance.plan import may_balance
from domains.numa.balance.services import undoable
from domains.numa.findings import Finding, uneven
from domains.numa.selectors import Misplaced, VcpuShown, cells_of, finding_of, loads_of, vcpus_on
from vmdash.live.messages import CellSample

if TYPE_CHECKING:
    from hosts.pages import HostPage

register = template.Library()


@dataclass(frozen=True, slots=True)
class ShownCpu:
    number: int
    vcpus: Sequence[VcpuShown]


@dataclass(frozen=True, slots=True)
class ShownCell:
    number: int
    memory_kib: int
    distances: str
    cpus: Sequence[ShownCpu]
    sample: CellSample | None
    bound: Sequence[tuple[str, str]]
    """(uuid, name) of the guests with a memory policy for it."""

    @property
    def cpu(self) -> float | None:
        """Used, percent of its CPUs."""
        return self.sample["cpu"] if self.sample else None

    @property
    def memory_percent(self) -> float | None:
        """Used, with cached files."""
        if not self.sample or not self.sample["mem_total"]:
            return None
        return 100 * (1 - self.sample["mem_free"] / self.sample["mem_total"])


@dataclass(frozen=True, slots=True)
class ShownCells:
    cells: Sequence[ShownCell]
    unplaced: Sequence[VcpuShown]
    """vCPUs of which it is not known where they are."""
    misplaced: Sequence[Misplaced]
    uneven: Sequence[Finding]
    """Of the host itself."""
    looked_at: int | None
    """When it was looked at them, in Unix milliseconds."""
    may_balance: bool
    can_undo: bool
    """There is a balancing that the person may undo."""


@register.simple_tag(takes_context=True)
def numa_of(context: dict[str, Any], page: HostPage) -> ShownCells | None:
    """None for a host with one cell. Three queries, and a few more where it was balanced before."""
    host, tick = page.host, page.figures.tick
    cells = cells_of(host)
    if len(cells) < 2:
        return None
    user = context["request"].user
    vcpus, operates = vcpus_on(user, host, tick), may_balance(host, user)
    by_cpu: dict[int | None, list[VcpuShown]] = {}
    for vcpu in vcpus:
        by_cpu.setdefault(vcpu.cpu, []).append(vcpu)
    samples = {one["cell"]: one for one in tick.get("cells", [])} if tick else {}
    bound = {cell.number: cell.bound for cell in page.cells}
    guests = {vcpu.guest.pk: vcpu.guest for vcpu in vcpus}
    return ShownCells(
        cells=[
            ShownCell(
                cell.number,
                cell.memory_kib,
                " / ".join(map(str, cell.distances)),
                [ShownCpu(cpu, by_cpu.get(cpu, [])) for cpu in cell.cpus],
                samples.get(cell.number),
                bound.get(cell.number, []),
            )
            for cell in cells
        ],
        unplaced=by_cpu.get(None, []),
        misplaced=[Misplaced(guest, found) for guest in guests.values() if (found := finding_of(guest, tick))],
        uneven=uneven(loads_of(cells, tick, guests.values())),
        looked_at=tick.get("looked_at") if tick else None,
        may_balance=operates,
        can_undo=operates and undoable(host, user) is not None,
    )
