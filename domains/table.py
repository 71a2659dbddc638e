"""The columns of the guests table, and what it can be sorted by."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Case, F, Value, When

from domains.models import DomainState
from domains.search_fields import FIGURES
from vmdash.exceptions import InvalidInput

_MOST_URGENT_FIRST = (
    DomainState.CRASHED,
    DomainState.PAUSED,
    DomainState.DYING,
    DomainState.IN_SHUTDOWN,
    DomainState.PMSUSPENDED,
    DomainState.NOSTATE,
    DomainState.RUNNING,
    DomainState.IDLE,
    DomainState.SHUT_OFF,
)
_URGENCY: Case = Case(*(When(state=state, then=Value(rank)) for rank, state in enumerate(_MOST_URGENT_FIRST)))

ORDERS: dict[str, F | Case] = {
    "name": F("name"),
    "state": _URGENCY,
    "host": F("host__name"),
    "memory": F("memory_kib"),
    "vcpus": F("vcpus"),
    "since": F("state_since"),
}
"""What the database can sort by; it can also be sorted by `FIGURES`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the table shows it."""

    key: str
    label: str
    sorts: bool = True
    numeric: bool = False
    largest_first: bool = False
    """How it is sorted when it is chosen."""


COLUMNS = (
    Column("name", "Name"),
    Column("state", "State"),
    Column("host", "Host"),
    Column("cpu", "CPU", numeric=True, largest_first=True),
    Column("steal", "Steal", numeric=True, largest_first=True),
    Column("memory", "Memory", numeric=True, largest_first=True),
    Column("vcpus", "vCPU", numeric=True, largest_first=True),
    Column("numa", "NUMA", sorts=False),
    Column("address", "Address", sorts=False),
    Column("tags", "Tags", sorts=False),
)


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the table, as in the address: `name`, `-steal`."""

    column: str = "name"
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Sort:
        """Raises InvalidInput."""
        column = text.removeprefix("-") or "name"
        if column not in ORDERS and column not in FIGURES:
            raise InvalidInput(f"The table cannot be sorted by {column[:40]!r}.")
        return cls(column, text.startswith("-"))

    def after_choosing(self, column: Column) -> str:
        """What the address says once that column's heading is chosen: another column, or the other way round."""
        if column.key == self.column:
            return column.key if self.descending else f"-{column.key}"
        return f"-{column.key}" if column.largest_first else column.key
