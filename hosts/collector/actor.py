"""The read-write connection of a host: opened when something first needs it, for the guest agent and for pictures.

It is used through the same lane as the read-only one, so a host still gets one call at a time.
"""

from __future__ import annotations

import logging

from hosts.collector.lane import Lane
from hosts.collector.opening import open_connection
from hosts.models import Host
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import HostError
from vmdash.virt.guest import Guest

log = logging.getLogger(__name__)


class Actor:
    """Opens at most once; where that is refused, the host is only read from then on.

    It asks a silent host as soon as the read-only connection does: a call that hangs here holds up the lane of both,
    and nothing but the keepalive of this connection ends it.
    """

    def __init__(self, host: Host, lane: Lane) -> None:
        self._host = host
        self._lane = lane
        self._connection: HostConnection | None = None
        self.refused = False

    async def ready(self) -> bool:
        """Whether guests can be acted on. Raises HostHung."""
        if self._connection is None and not self.refused:
            try:
                self._connection = await open_connection(self._host, self._lane, read_only=False)
            except HostError as error:
                self.refused = True
                log.warning("%s: no guest agents and screens are read: %s", self._host.name, error)
        return self._connection is not None

    def guest(self, uuid: str) -> Guest:
        """In the lane, once it is `ready`. Raises GuestNotFound, ConnectionLost."""
        if self._connection is None:
            raise RuntimeError("wait for ready() first")
        return self._connection.guest(uuid)

    def close(self) -> None:
        """In the lane."""
        if self._connection is not None:
            self._connection.close()
