"""The one thread that writes to the database: whatever has queued up meanwhile goes into one transaction.

Each write comes under a lease. The host's row remembers the newest token that wrote about it, and a write with an older
one is dropped: so a collector that was suspended, or cut off from Redis, cannot undo what its successor wrote.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol, cast

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from hosts.announce import host_changed
from hosts.collector.inventory import LIGHT_COLUMNS, Observation, Outcome, StorageObservation
from hosts.models import Host, HostEvent
from vmdash.live import groups
from vmdash.webhooks import events as webhooks
from vmdash.webhooks.models import Event, Kind

log = logging.getLogger(__name__)

RETRY_S = 1
GATHER_S = 0.1
"""What comes so soon after a transaction waits for more: each costs a dozen queries, whatever is in it."""
GATHER_AT_MOST_S = 0.3
"""The same in the biggest crowd."""
_AT_ONCE = 1000
"""How many writes one transaction takes at most, so that it stays short."""
_CLASHES = 3
"""How often a transaction is tried again after a clash with another collector."""


@dataclass(slots=True)
class Lease:
    """The right to watch a host. `token` changes when the lease had to be taken anew."""

    host_id: int
    token: int


@dataclass(frozen=True, slots=True)
class HostSeen:
    """New values for columns of the host's row."""

    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConnectionSeen:
    """How the connection to the host is. Written, and told to browsers, when that is news."""

    state: Host.State
    reason: str
    at: datetime
    answered_at: datetime | None = None
    """When the host last answered."""


_AboutHost = HostSeen | ConnectionSeen
Write = Observation | StorageObservation | _AboutHost
_Entry = tuple[Lease, Write]


class _Inventory(Protocol):
    """A `GuestInventory` or a `StorageInventory`; whoever submits knows which one it is."""

    def record(self, observations: Sequence[tuple[Host, Any]]) -> Outcome: ...


class Writer:
    """`submit` may be called from any thread. `deliver` is called on the writer's thread after each commit."""

    def __init__(
        self,
        inventory: _Inventory,
        deliver: Callable[[Outcome], None],
        *,
        name: str = "writer",
        at_once: int = _AT_ONCE,
        stretch: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """`stretch` tells how many times longer than usual what comes waits for more."""
        self._inventory = inventory
        self._deliver = deliver
        self._at_once = at_once
        self._stretch = stretch
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, lease: Lease, *writes: Write) -> None:
        for write in writes:
            self._queue.put((lease, write))

    def is_behind(self) -> bool:
        """Whether so much waits to be written that nobody should read what can be read later."""
        return self._queue.qsize() > self._at_once

    def stop(self, deadline_s: float) -> None:
        """Write what is queued, then end; what cannot be written by then is left to the next collector's sweep."""
        self._queue.put(None)
        self._stopping.set()
        self._thread.join(deadline_s)

    def _work(self) -> None:
        ending = False
        written_at = 0.0
        while not ending:
            batch = [self._queue.get()]
            if self._queue.qsize() < self._at_once - 1:
                gather_s = min(GATHER_S * self._stretch(), GATHER_AT_MOST_S)
                self._stopping.wait(written_at + gather_s - time.monotonic())
            while len(batch) < self._at_once and not self._queue.empty():
                batch.append(self._queue.get())
            ending = None in batch
            if entries := [entry for entry in batch if entry]:
                self._write(entries)
            written_at = time.monotonic()
        connection.close()

    def _write(self, entries: Sequence[_Entry]) -> None:
        """Write all or, when something among it cannot be written, what can."""
        clashes = 0
        while True:
            try:
                with transaction.atomic():
                    outcome = self._record(entries)
            except (OperationalError, InterfaceError) as error:
                log.warning("The database does not answer, trying again: %s", str(error).strip())
                connection.close()
                if self._stopping.wait(RETRY_S):
                    break
            except Exception as error:  # a fault of ours must not stop the writing for all hosts
                clashes += 1
                if not isinstance(error, IntegrityError) or clashes == _CLASHES:
                    self._write_singly(entries)
                    break
            else:
                self._deliver(outcome)
                break

    def _write_singly(self, entries: Sequence[_Entry]) -> None:
        """Leave out what cannot be written, and write the rest."""
        if len(entries) > 1:
            for entry in entries:
                self._write([entry])
            return
        lease, write = entries[0]
        try:
            with transaction.atomic():
                outcome = self._record(entries)
        except Exception:
            log.exception("Cannot write down what was seen on host %s: %r", lease.host_id, write)
        else:
            self._deliver(outcome)

    def _record(self, entries: Sequence[_Entry]) -> Outcome:
        hosts = _fence({lease.host_id: lease for lease, _ in entries})
        outcome = Outcome()
        # In the order of arrival: a host is up before its guests are seen there.
        for about_host, group in groupby(entries, lambda entry: isinstance(entry[1], _AboutHost)):
            writes = [(hosts[lease.host_id], write) for lease, write in group if lease.host_id in hosts]
            if about_host:
                for host, write in writes:
                    _record_host(host, cast(_AboutHost, write), outcome)
            elif writes:
                followed = self._inventory.record(writes)
                outcome.messages += followed.messages
                outcome.wanted |= followed.wanted
        return outcome


def _fence(leases: Mapping[int, Lease]) -> dict[int, Host]:
    """The hosts that may be written about: they exist, and nobody has taken them over. Locks their rows."""
    locked = Host.objects.select_for_update(no_key=True).only(*LIGHT_COLUMNS).filter(pk__in=leases).order_by("pk")
    hosts = {}
    for host in locked:
        token = leases[host.pk].token
        if host.lease_token > token:
            log.warning("%s was taken over by another collector; what we saw there is dropped.", host.name)
            continue
        if host.lease_token < token:
            Host.objects.filter(pk=host.pk).update(lease_token=token)
        hosts[host.pk] = host
    return hosts


def _record_host(host: Host, seen: _AboutHost, outcome: Outcome) -> None:
    columns = dict(seen.columns) if isinstance(seen, HostSeen) else _connection_columns(host, seen)
    for name, value in columns.items():
        setattr(host, name, value)
    if columns:
        Host.objects.filter(pk=host.pk).update(**columns)
    if "state_since" in columns:
        event = HostEvent.objects.create(
            host=host, at=columns["state_since"], state=columns["state"], reason=columns["state_reason"]
        )
        webhooks.tell(lambda: [_for_webhooks(event)], [Kind.HOST_STATE])
    if "state_reason" in columns:
        outcome.messages.append(([groups.FLEET, groups.host(host.pk)], host_changed(host)))


def _for_webhooks(event: HostEvent) -> Event:
    name, words = event.host.name, Host.State(event.state).label
    data = {"host": name, "state": event.state, "state_in_words": words, "reason": event.reason}
    return Event(kind=Kind.HOST_STATE, at=event.at, host=name, data=data)


def _connection_columns(host: Host, seen: ConnectionSeen) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if seen.answered_at and (host.last_seen_at is None or host.last_seen_at < seen.answered_at):
        columns["last_seen_at"] = seen.answered_at
    if host.state != seen.state:
        columns |= {"state": seen.state, "state_since": seen.at}
    if columns.keys() & {"state"} or host.state_reason != seen.reason:
        columns["state_reason"] = seen.reason
    return columns
