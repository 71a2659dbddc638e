"""The columns of the list of pools, and the links in their headings that sort by them."""

from __future__ import annotations

from hosts.columns import Column, column

_COLUMNS = (
    ("name", "Pool", "", False),
    ("host", "Host", "", False),
    ("type", "Type", "wide", False),
    ("state", "State", "", False),
    ("used", "Used", "", True),
    ("size", "Size", "n wide", True),
    ("free", "Free", "n", True),
    ("full", "Full", "wide", False),
    ("volumes", "Volumes", "n wide", True),
    ("read", "Read", "n wide", True),
)
"""The name in the URL, the heading, classes (`wide`: not on a phone), and whether the largest comes first."""


def columns(sort: str) -> list[Column]:
    """The columns of a list that is sorted by `sort`, one of `pool_pages.SORT_CHOICES`."""
    return [column(*one, sort=sort) for one in _COLUMNS]
