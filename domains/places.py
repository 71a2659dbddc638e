"""From a guest, and from what belongs to one, to the things that grants can be about."""

from __future__ import annotations

from hosts.places import from_host
from vmdash.access.reach import Scope, along

_HOST = from_host("host")
GUEST_PATHS = {**_HOST, Scope.TAG: [*_HOST[Scope.TAG], "tags"], Scope.GUEST: ["pk"]}


def from_guest(lookup: str) -> dict[Scope, list[str]]:
    """`lookup` leads from a row to its guest."""
    return along(lookup, GUEST_PATHS)
