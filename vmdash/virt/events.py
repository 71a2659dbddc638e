"""Events of a host: what changed, as small values, the moment it did.

Callbacks run on the event loop's thread and only hand the event over. Events are lost with the connection, so whoever
subscribes re-reads everything after each new connection. Two lessons from other clients: a reboot may come as stopped
and then started, and "suspended: migrated" also comes when a migration failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import libvirt

from vmdash.virt.connection import HostConnection
from vmdash.virt.translation import is_unsupported, translate


class GuestEventKind(StrEnum):
    """The first nine are libvirt's life cycle events; ``graphics``: a console client came or went."""

    DEFINED = "defined"
    UNDEFINED = "undefined"
    STARTED = "started"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    STOPPED = "stopped"
    SHUTDOWN = "shutdown"
    PMSUSPENDED = "pmsuspended"
    CRASHED = "crashed"
    REBOOTED = "rebooted"
    AGENT_CONNECTED = "agent_connected"
    AGENT_DISCONNECTED = "agent_disconnected"
    DEVICE_ADDED = "device_added"
    DEVICE_REMOVED = "device_removed"
    BALLOON_CHANGED = "balloon_changed"
    METADATA_CHANGED = "metadata_changed"
    MEDIA_CHANGED = "media_changed"
    IO_ERROR = "io_error"
    WATCHDOG = "watchdog"
    JOB_COMPLETED = "job_completed"
    MIGRATION_ROUND = "migration_round"
    GRAPHICS = "graphics"


class ObjectEventKind(StrEnum):
    """What happens to pools and networks."""

    DEFINED = "defined"
    UNDEFINED = "undefined"
    STARTED = "started"
    STOPPED = "stopped"
    CREATED = "created"
    DELETED = "deleted"
    REFRESHED = "refreshed"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class GuestEvent:
    """``detail`` is libvirt's reason in a word, or what it was about: a device alias, a path, the balloon in KiB."""

    uuid: str
    name: str
    kind: GuestEventKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PoolEvent:
    uuid: str
    name: str
    kind: ObjectEventKind


@dataclass(frozen=True, slots=True)
class NetworkEvent:
    uuid: str
    name: str
    kind: ObjectEventKind


Event = GuestEvent | PoolEvent | NetworkEvent
Handler = Callable[[Event], None]

_K = GuestEventKind

# virDomainEventType and its details, by number
_LIFECYCLE: tuple[tuple[GuestEventKind, tuple[str, ...]], ...] = (
    (_K.DEFINED, ("added", "updated", "renamed", "from_snapshot")),
    (_K.UNDEFINED, ("removed", "renamed")),
    (_K.STARTED, ("booted", "migrated", "restored", "from_snapshot", "wakeup")),
    (
        _K.SUSPENDED,
        (
            *("paused", "migrated", "io_error", "watchdog", "restored", "from_snapshot", "api_error"),
            *("postcopy", "postcopy_failed"),
        ),
    ),
    (_K.RESUMED, ("unpaused", "migrated", "from_snapshot", "postcopy", "postcopy_failed")),
    (_K.STOPPED, ("shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from_snapshot")),
    (_K.SHUTDOWN, ("finished", "guest", "host")),
    (_K.PMSUSPENDED, ("memory", "disk")),
    (_K.CRASHED, ("panicked", "crashloaded")),
)
_AGENT = {1: _K.AGENT_CONNECTED, 2: _K.AGENT_DISCONNECTED}
_GRAPHICS_PHASES = ("connected", "initialized", "disconnected")
_METADATA = ("description", "title", "element")
_POOL = tuple(ObjectEventKind(kind) for kind in ("defined", "undefined", "started", "stopped", "created", "deleted"))
_NETWORK = tuple(ObjectEventKind(kind) for kind in ("defined", "undefined", "started", "stopped", "updated"))

_Reading = tuple[GuestEventKind, str]


def _at(words: tuple[str, ...], number: int) -> str:
    """The word for a number, or the number itself when libvirt is newer than this table."""
    return words[number] if 0 <= number < len(words) else str(number)


def _lifecycle(event: int, detail: int) -> _Reading | None:
    if event >= len(_LIFECYCLE):
        return None
    kind, details = _LIFECYCLE[event]
    return kind, _at(details, detail)


def _agent(state: int, _reason: int) -> _Reading | None:
    return (_AGENT[state], "") if state in _AGENT else None


# event id -> what its arguments (after connection and domain) mean
_GUEST_EVENTS: dict[int, Callable[..., _Reading | None]] = {
    libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: _lifecycle,
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: lambda: (_K.REBOOTED, ""),
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: _agent,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: lambda alias: (_K.DEVICE_ADDED, alias),
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: lambda alias: (_K.DEVICE_REMOVED, alias),
    libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE: lambda kib: (_K.BALLOON_CHANGED, str(kib)),
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: lambda kind, _uri: (_K.METADATA_CHANGED, _at(_METADATA, kind)),
    libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE: lambda _old, _new, alias, _why: (_K.MEDIA_CHANGED, alias),
    libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON: lambda path, _alias, _action, why: (
        _K.IO_ERROR,
        f"{path}: {why}" if why else path,
    ),
    libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG: lambda action: (_K.WATCHDOG, str(action)),
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED: lambda _stats: (_K.JOB_COMPLETED, ""),
    libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION: lambda count: (_K.MIGRATION_ROUND, str(count)),
    libvirt.VIR_DOMAIN_EVENT_ID_GRAPHICS: lambda phase, *_rest: (_K.GRAPHICS, _at(_GRAPHICS_PHASES, phase)),
}


class Subscription:
    """The registrations of one connection. ``close()`` ends them, and comes before the connection's own ``close()``."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def add(self, register: Callable[[], int], deregister: Callable[[int], object]) -> bool:
        """Register, unless the driver lacks it; whether it has it."""
        try:
            number = register()
        except libvirt.libvirtError as error:
            if is_unsupported(error):
                return False
            raise
        self._undo.append(lambda: deregister(number))
        return True

    def close(self) -> None:
        """No event comes after it. On a connection that is gone, it only lets go of the memory."""
        while self._undo:
            with contextlib.suppress(libvirt.libvirtError):
                self._undo.pop()()


def subscribe(connection: HostConnection, handler: Handler) -> Subscription:
    """Have ``handler`` called on the event loop's thread for every event this daemon offers.

    It must only hand over. Event kinds the daemon lacks are left out; ``connection.features.guest_events`` says which
    it has. Raises HostError, CallRefused.
    """
    raw = connection.raw
    subscription = Subscription()
    try:
        with translate("subscribe to events", connection.name):
            connection.features.guest_events = frozenset(
                number
                for number, read in _GUEST_EVENTS.items()
                if _watch_guests(subscription, raw, number, read, handler)
            )
            _watch_pools(subscription, raw, handler)
            _watch_networks(subscription, raw, handler)
    except BaseException:
        subscription.close()
        raise
    return subscription


def _watch_guests(
    subscription: Subscription,
    raw: libvirt.virConnect,
    number: int,
    read: Callable[..., _Reading | None],
    handler: Handler,
) -> bool:
    def callback(_raw: libvirt.virConnect, domain: libvirt.virDomain, *arguments: Any) -> None:
        if reading := read(*arguments[:-1]):
            handler(GuestEvent(domain.UUIDString(), domain.name(), *reading))

    return subscription.add(
        partial(raw.domainEventRegisterAny, None, number, callback, None), raw.domainEventDeregisterAny
    )


def _watch_pools(subscription: Subscription, raw: libvirt.virConnect, handler: Handler) -> None:
    def lifecycle(_raw: libvirt.virConnect, pool: libvirt.virStoragePool, event: int, *_rest: Any) -> None:
        if event < len(_POOL):
            handler(PoolEvent(pool.UUIDString(), pool.name(), _POOL[event]))

    def refresh(_raw: libvirt.virConnect, pool: libvirt.virStoragePool, _opaque: Any) -> None:
        handler(PoolEvent(pool.UUIDString(), pool.name(), ObjectEventKind.REFRESHED))

    callbacks: dict[int, Callable[..., None]] = {
        libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE: lifecycle,
        libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH: refresh,
    }
    for number, callback in callbacks.items():
        subscription.add(
            partial(raw.storagePoolEventRegisterAny, None, number, callback, None), raw.storagePoolEventDeregisterAny
        )


def _watch_networks(subscription: Subscription, raw: libvirt.virConnect, handler: Handler) -> None:
    def lifecycle(_raw: libvirt.virConnect, network: libvirt.virNetwork, event: int, *_rest: Any) -> None:
        if event < len(_NETWORK):
            handler(NetworkEvent(network.UUIDString(), network.name(), _NETWORK[event]))

    subscription.add(
        partial(raw.networkEventRegisterAny, None, libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE, lifecycle, None),
        raw.networkEventDeregisterAny,
    )
