"""The columns of the list of hosts, and the links in their headings that sort by them."""

from __future__ import annotations

from dataclasses import dataclass

_COLUMNS = (
    ("name", "Host", "", False),
    ("state", "State", "", False),
    ("site", "Site", "wide", False),
    ("hypervisor", "Hypervisor", "wide", False),
    ("libvirt", "libvirt", "wide", True),
    ("cpus", "CPUs", "n wide", True),
    ("size", "RAM", "n wide", True),
    ("guests", "Guests", "n", True),
    ("cpu", "CPU", "", True),
    ("memory", "Memory", "", True),
    ("steal", "Steal", "n", True),
    ("seen", "Seen", "n wide", True),
)
"""The name in the URL, the heading, classes (`wide`: not on a phone), and whether the largest comes first."""


@dataclass(frozen=True, slots=True)
class Column:
    heading: str
    classes: str
    next_sort: str
    """What a click on the heading sorts by."""
    aria_sort: str
    """`ascending`, `descending`, or empty when the list is sorted by another column."""


def columns(sort: str) -> list[Column]:
    """The columns of a list that is sorted by `sort`, one of `selectors.SORT_CHOICES`."""
    return [column(*one, sort=sort) for one in _COLUMNS]


def column(name: str, heading: str, classes: str, largest_first: bool, *, sort: str) -> Column:
    """One column of a list that is sorted by `sort` ("-name": descending)."""
    here = sort.removeprefix("-") == name
    descending = sort.startswith("-")
    turned = name if descending else f"-{name}"
    first = f"-{name}" if largest_first else name
    aria_sort = ("descending" if descending else "ascending") if here else ""
    return Column(heading, classes, turned if here else first, aria_sort)
