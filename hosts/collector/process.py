"""The collector's process: which hosts it watches, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, close_old_connections

from hosts.collector.crowd import MANY_HOSTS, MANY_HOSTS_SWITCH_S, Crowd, stay_on_one_cpu
from hosts.collector.host import HostCollector
from hosts.collector.inventory import GuestInventory, Outcome, StorageInventory
from hosts.collector.lane import stuck_threads
from hosts.collector.leases import Leases, surplus
from hosts.collector.publisher import Publisher
from hosts.collector.session import Services
from hosts.collector.viewers import read_viewed
from hosts.collector.writer import Lease, Writer
from hosts.connect import credentials
from hosts.models import Host
from vmdash.live.redis import HOSTS_CHANGED, async_client, refresh_key
from vmdash.metrics.trouble import TELL_S, tell
from vmdash.metrics.writer import HistoryWriter
from vmdash.virt import eventloop

log = logging.getLogger(__name__)

LOOK_S = 20
"""How often the hosts are read from the database even when nobody says that they changed."""
RETRY_DATABASE_S = 5
VIEWERS_S = 2
END_S = 5
"""How long the end of the process may take, for hosts that hang."""
_RETRY_S = 1
_Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Watched:
    """A host we watch. `setup` is what it was started with: when that changes, it is started anew."""

    collector: HostCollector
    task: asyncio.Task[None]
    host: Host
    """As it was read last."""
    setup: object

    def is_set_up_as(self, host: Host) -> bool:
        if self.host is not host:  # it was read again
            if self.setup != _setup(host):
                return False
            self.host = host
        return True


class Collector:
    """`run` returns the exit status: 1 when too many threads hang in libvirt, so that a supervisor starts it anew."""

    def __init__(self, inventory: GuestInventory, storage: StorageInventory) -> None:
        self._loop = asyncio.get_running_loop()
        self._redis = async_client()
        self._leases = Leases(self._redis, settings.LEASE_S)
        self._publisher = Publisher(self._redis)
        self._history = HistoryWriter()
        crowd = Crowd()
        self._writer = Writer(inventory, self._hand_over, stretch=crowd.stretch)
        self._storage_writer = Writer(storage, self._hand_over, name="storage-writer", at_once=20)
        self._services = Services(self._writer, self._storage_writer, self._publisher, self._history, crowd)
        self._hosts: dict[int, Host] = {}
        """Those that are enabled."""
        self._watched: dict[int, _Watched] = {}
        self._ending: dict[int, asyncio.Task[None]] = {}
        self._look = asyncio.Event()
        self._hosts_read = asyncio.Event()
        self._stop = asyncio.Event()
        self._status = 0
        self._own_cpu: socket.socket | None = None

    async def run(self) -> int:
        eventloop.use_asyncio(self._loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        self._writer.start()
        self._storage_writer.start()
        log.info("Collector %s starts", self._leases.name)
        work: tuple[_Work, ...] = (
            self._follow_hosts,
            self._share_hosts,
            self._publisher.run,
            self._history.run,
            _steadily(self._listen_for_hosts),
            _steadily(self._listen_for_requests),
            _steadily(self._look_for_viewers),
            _steadily(self._tell_of_history),
        )
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(one()) for one in work]
        tasks.append(asyncio.create_task(self._stop.wait()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # raises what was not foreseen
        finally:
            for task in tasks:
                task.cancel()
            await self._end()
        return self._status

    # Sharing the hosts with other collectors

    async def _follow_hosts(self) -> None:
        """Know which hosts there are. Apart from the leases, which a database that hangs must not cost us."""
        while True:
            self._look.clear()
            await self._read_hosts()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look.wait()

    async def _share_hosts(self) -> None:
        away = False
        while not self._stop.is_set():
            self._hosts_read.clear()
            try:
                await self._renew()
                away = False
            except redis.RedisError as error:
                if not away:
                    log.error("Leases cannot be renewed, Redis does not answer (%s). We keep the hosts we have.", error)
                away = True
            if stuck_threads() > settings.MAX_STUCK_THREADS:
                log.error("%d threads hang in libvirt: handing the hosts over and ending.", stuck_threads())
                self._status = 1
                self._stop.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.LEASE_S / 4):
                    await self._hosts_read.wait()

    async def _read_hosts(self) -> None:
        try:
            self._hosts = await sync_to_async(_enabled_hosts)()
            self._hosts_read.set()
        except Error as error:
            log.error("The hosts cannot be read from the database, trying again in %d s: %s", RETRY_DATABASE_S, error)
            self._loop.call_later(RETRY_DATABASE_S, self._look.set)

    async def _renew(self) -> None:
        """Hold what is ours, and be done with what is not. Raises RedisError."""
        hosts = self._hosts  # others may be read while we wait
        tokens, share = await self._leases.renew(list(hosts))
        if len(tokens) >= MANY_HOSTS and self._own_cpu is None:
            sys.setswitchinterval(MANY_HOSTS_SWITCH_S)
            self._own_cpu = stay_on_one_cpu()
        too_many = surplus(tokens, share)
        gone = [host_id for host_id in self._watched if host_id not in hosts]
        for host_id in too_many:
            del tokens[host_id]
        for host_id in [host_id for host_id in self._watched if host_id not in tokens]:
            self._end_watching(host_id)
        for host_id, token in tokens.items():
            host = hosts[host_id]
            watched = self._watched.get(host_id)
            if watched and watched.task.done():
                log.error("%s: watching it ended. It begins anew.", host.name, exc_info=watched.task.exception())
            if watched is None or watched.task.done() or not watched.is_set_up_as(host):
                self._end_watching(host_id)
                self._begin_watching(host, token)
            else:
                watched.collector.lease.token = token
        await self._leases.release([*too_many, *gone])

    def _begin_watching(self, host: Host, token: int) -> None:
        collector = HostCollector(host, Lease(host.pk, token), self._services)
        task = asyncio.create_task(_after(self._ending.get(host.pk), collector.run), name=f"host-{host.name}")
        self._watched[host.pk] = _Watched(collector, task, host, _setup(host))

    def _end_watching(self, host_id: int) -> None:
        if watched := self._watched.pop(host_id, None):
            watched.task.cancel()
            self._ending[host_id] = watched.task
            watched.task.add_done_callback(lambda task: self._ended(host_id, task))

    def _ended(self, host_id: int, task: asyncio.Task[None]) -> None:
        if self._ending.get(host_id) is task:
            del self._ending[host_id]

    # What others ask for

    async def _listen_for_hosts(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(HOSTS_CHANGED)
            self._look.set()  # something may have been said before we listened
            async for _ in channel.listen():
                self._look.set()

    async def _listen_for_requests(self) -> None:
        keys = {refresh_key(host_id): host_id for host_id in self._watched}
        if not keys:
            await asyncio.sleep(_RETRY_S)
        elif popped := await self._redis.blpop(list(keys), timeout=2):
            key, uuid = cast(tuple[bytes, bytes], tuple(popped))
            self._request(keys[key.decode()], uuid.decode())

    async def _look_for_viewers(self) -> None:
        viewed = await read_viewed(self._redis)
        for one in self._watched.values():
            one.collector.view(viewed)
        await asyncio.sleep(VIEWERS_S)

    async def _tell_of_history(self) -> None:
        await tell(self._redis, self._leases.name, self._history.held())
        await asyncio.sleep(TELL_S)

    def _request(self, host_id: int, uuid: str) -> None:
        if one := self._watched.get(host_id):
            one.collector.refresh(uuid)

    # What the writer found

    def _hand_over(self, outcome: Outcome) -> None:
        """On the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._deliver, outcome)

    def _deliver(self, outcome: Outcome) -> None:
        self._publisher.send(outcome.messages)
        for host_id, uuid in outcome.wanted:
            if host_id in self._watched:
                self._request(host_id, uuid)
            else:  # another collector watches that host
                self._publisher.request(host_id, uuid)

    # The end

    async def _end(self) -> None:
        """Hand everything over: the others have our hosts at once."""
        log.info("Collector %s ends", self._leases.name)
        held = list(self._watched)
        for host_id in held:
            self._end_watching(host_id)
        if self._ending:
            await asyncio.wait(list(self._ending.values()), timeout=END_S)
        await asyncio.gather(
            *(asyncio.to_thread(writer.stop, END_S) for writer in (self._writer, self._storage_writer))
        )
        with contextlib.suppress(redis.RedisError, OSError, TimeoutError):
            async with asyncio.timeout(END_S):
                await self._leases.leave(held)
                await self._publisher.flush()
        await self._redis.aclose()


def _enabled_hosts() -> dict[int, Host]:
    close_old_connections()
    return {host.pk: host for host in Host.objects.filter(enabled=True).select_related("credential").order_by("pk")}


def _setup(host: Host) -> object:
    """Everything people entered that matters to us."""
    where = (host.name, host.driver, host.transport, host.address, host.port, host.username, host.path)
    return (*where, host.fast_interval_s, host.slow_interval_s, credentials(host))


async def _after(ended: asyncio.Task[None] | None, work: _Work) -> None:
    """Begin once `ended` has: a host never gets two calls at once."""
    if ended:
        await asyncio.wait([ended])
    await work()


def _steadily(work: _Work) -> _Work:
    """Again and again; while Redis is away, which others say, only now and then."""

    async def for_ever() -> None:
        while True:
            try:
                await work()
            except (redis.RedisError, OSError):
                await asyncio.sleep(_RETRY_S)

    return for_ever
