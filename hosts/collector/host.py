"""One host: connecting, staying connected, and saying why not."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from django.conf import settings
from django.utils import timezone

from hosts.collector.lane import Lane
from hosts.collector.opening import open_connection
from hosts.collector.session import Services, Session
from hosts.collector.survey import Survey, requested_pool
from hosts.collector.viewers import Viewed
from hosts.collector.writer import ConnectionSeen, Lease
from hosts.models import Host
from vmdash.exceptions import VmdashError
from vmdash.virt.errors import (
    AuthenticationFailed,
    CertificateRejected,
    ClientCertificateRejected,
    ConnectionLost,
    HostKeyError,
)

log = logging.getLogger(__name__)

PAUSE_S, PAUSE_MOST_S, PAUSE_REFUSED_S = 0.5, 6, 30
"""Between attempts: doubled each time, short enough that a host that comes back is seen at once. One that refuses us is
asked less often, lest it locks the account."""
_MOST_DOUBLINGS = 10
_REASON_LENGTH = 500
_REFUSALS = (AuthenticationFailed, CertificateRejected, ClientCertificateRejected, HostKeyError)


class HostCollector:
    """Watches one host until its task is cancelled."""

    def __init__(self, host: Host, lease: Lease, services: Services) -> None:
        self.lease = lease
        self._host = host
        self._services = services
        self._session: Session | None = None
        self._survey = Survey(host, lease, services.storage_writer, services.history, services.crowd)
        self._failures = 0
        self._clean_up: Callable[[], None] = _nothing
        self._refused = False
        self._said: tuple[Host.State, str] | None = None

    def refresh(self, uuid: str) -> None:
        """Read this guest, `*` (everything), `storage` or `storage:UUID` (a pool) again at once."""
        pool = "" if uuid == "*" else requested_pool(uuid)
        if pool is not None:
            self._survey.request(pool)
        if self._session and (uuid == "*" or pool is None):
            self._session.refresh(uuid)

    def view(self, viewed: Viewed) -> None:
        """The guests and hosts whose pages are open."""
        if self._session:
            self._session.view(viewed)

    async def run(self) -> None:
        survey = asyncio.create_task(self._survey.run(), name=f"storage-{self._host.name}")
        try:
            await self._keep_connected()
        finally:
            survey.cancel()
            await asyncio.wait([survey])

    async def _keep_connected(self) -> None:
        while True:
            lane = Lane(self._host.name, settings.CALL_DEADLINE_S)
            self._clean_up = _nothing
            try:
                await self._collect(lane)
            except VmdashError as error:
                self._failed(error)
            except Exception:  # a fault of ours with this host must not stop the others
                log.exception("%s: the collector failed; it connects anew", self._host.name)
                self._failures += 1
            finally:
                self._session = None
                self._survey.host_is_up(False)
                await lane.finish(self._clean_up)
            await asyncio.sleep(self._pause_s())

    async def _collect(self, lane: Lane) -> None:
        """Connect and collect; ends with an error."""
        connection = await open_connection(self._host, lane, read_only=True)
        self._clean_up = connection.close
        session = self._session = Session(
            self._host, connection, lane, self.lease, self._services, self._survey.on_event
        )
        self._clean_up = session.close
        await session.run(self._up)

    def _up(self) -> None:
        self._failures = 0
        self._refused = False
        self._survey.host_is_up(True)
        log.info("%s: connected", self._host.name)
        self._say(Host.State.UP, "")

    def _failed(self, error: VmdashError) -> None:
        self._failures += 1
        self._refused = isinstance(error, _REFUSALS)
        log.warning("%s: %s %s", self._host.name, error, error.detail)
        if isinstance(error, ConnectionLost) and self._failures == 1:
            return  # the daemon may just have been restarted: connect at once, and say what comes of that
        self._say(Host.State.REFUSED if self._refused else Host.State.UNREACHABLE, str(error)[:_REASON_LENGTH])

    def _say(self, state: Host.State, reason: str) -> None:
        """Write the connection's state down, unless we said the same before."""
        if (state, reason) != self._said:
            self._said = (state, reason)
            answered_at = self._session.answered_at if self._session else None
            self._services.writer.submit(self.lease, ConnectionSeen(state, reason, timezone.now(), answered_at))

    def _pause_s(self) -> float:
        most_s = PAUSE_REFUSED_S if self._refused else PAUSE_MOST_S
        return float(min(PAUSE_S * 2 ** min(self._failures, _MOST_DOUBLINGS), most_s)) * random.uniform(0.6, 1)  # noqa: S311


def _nothing() -> None:
    return None
