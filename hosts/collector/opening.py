"""Opening a connection for the collector: probed first, since opening itself may never return."""

from __future__ import annotations

from functools import partial

from hosts.addresses import check_reachable
from hosts.collector.lane import Lane
from hosts.connect import credentials, endpoint, runtime_dir
from hosts.models import Host
from vmdash.virt.connection import HostConnection
from vmdash.virt.probe import probe

KEEPALIVE = (4, 2)
"""Seconds between questions, and how many may go unanswered: who hangs between two rounds is noticed in time."""


async def open_connection(host: Host, lane: Lane, *, read_only: bool) -> HostConnection:
    """Raises HostError, InvalidInput."""
    where, secrets, folder = endpoint(host), credentials(host), runtime_dir(host)
    await probe(where, secrets, runtime_dir=folder, name=host.name, check_address=check_reachable)
    return await lane.run(
        partial(
            HostConnection.open,
            where,
            secrets,
            runtime_dir=folder,
            name=host.name,
            read_only=read_only,
            keepalive=KEEPALIVE,
        )
    )
