"""From a host, and from what belongs to one, to the things that grants can be about."""

from __future__ import annotations

from vmdash.access.reach import Scope, along

SITE_PATHS = {Scope.SITE: ["pk"]}
TAG_PATHS = {Scope.TAG: ["pk"]}
HOST_PATHS = {Scope.SITE: ["site"], Scope.HOST: ["pk"], Scope.TAG: ["tags"]}


def from_host(lookup: str) -> dict[Scope, list[str]]:
    """`lookup` leads from a row to its host."""
    return along(lookup, HOST_PATHS)
