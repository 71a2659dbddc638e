"""The fleet's hosts as a dashboard needs them to be added."""

from __future__ import annotations

import yaml

from vmdash.lab import fleet
from vmdash.lab.host import HostEntry
from vmdash.lab.layout import Lab


def inventory(lab: Lab) -> list[HostEntry]:
    """One entry for each host of the fleet, up or not, as plain data; it holds their secrets."""
    return [host.entry() for host in fleet.hosts(lab)]


def as_yaml(lab: Lab) -> str:
    return yaml.safe_dump(inventory(lab), sort_keys=False, allow_unicode=True)
