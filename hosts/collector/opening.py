"""Opening a connection for the collector: probed first, since opening itself may never return."""

from __future__ import annotations

from functools import partial

from hosts.addresses import check_reachable
from hosts.collector.lane import Lane
from hosts.collector.turns import Kind, Turns
from hosts.connect import credentials, endpoint, runtime_dir
from hosts.models import Host
from vmdash.virt.connection import HostConnection
from vmdash.virt.probe import probe

KEEPALIVE = (7, 1)
"""After so many seconds of silence the host is asked whether it is there; when so many questions and as long again
bring no answer, it is gone: who hangs between two rounds is noticed within 14 s. With rounds every 2 s nothing is
asked, with rounds every 10 s one question comes between two; each costs as much as a call."""
KEEPALIVE_SURVEY = (60, 2)
"""The same where another connection tells whether the host answers: each question costs as much as a call."""


async def open_connection(
    host: Host, lane: Lane, *, read_only: bool, keepalive: tuple[int, int] = KEEPALIVE
) -> HostConnection:
    """Raises HostError, InvalidInput."""
    where, secrets, folder = endpoint(host), credentials(host), runtime_dir(host)
    await probe(where, secrets, runtime_dir=folder, name=host.name, check_address=check_reachable)
    opening = partial(
        HostConnection.open,
        where,
        secrets,
        runtime_dir=folder,
        name=host.name,
        read_only=read_only,
        keepalive=keepalive,
    )
    with await Turns.of_this_loop(Kind.REST).wait():
        return await lane.run(opening)
