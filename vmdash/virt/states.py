"""Guest states and their reasons: stable strings for the database, plain words for people.

Pure data; libvirt need not be installed. The numbers are those of ``virDomainState`` and of the
``virDomain…Reason`` enums in libvirt-domain.h, part of its stable ABI.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class GuestState(StrEnum):
    """What a guest does. ``dying`` is libvirt's "paused: shutting down": the guest has ended, its process has not."""

    NOSTATE = "nostate"
    RUNNING = "running"
    IDLE = "idle"
    PAUSED = "paused"
    IN_SHUTDOWN = "in_shutdown"
    SHUT_OFF = "shut_off"
    CRASHED = "crashed"
    DYING = "dying"
    PMSUSPENDED = "pmsuspended"

    @property
    def words(self) -> str:
        return _WORDS[self]

    @property
    def is_active(self) -> bool:
        """Whether the hypervisor holds a process (or domain) for it, so that it uses memory."""
        return self not in _INACTIVE


_INACTIVE = frozenset({GuestState.NOSTATE, GuestState.SHUT_OFF, GuestState.CRASHED})
_WORDS = {
    GuestState.NOSTATE: "no state",
    GuestState.RUNNING: "running",
    GuestState.IDLE: "idle",
    GuestState.PAUSED: "paused",
    GuestState.IN_SHUTDOWN: "in shutdown",
    GuestState.SHUT_OFF: "shut off",
    GuestState.CRASHED: "crashed",
    GuestState.DYING: "dying",
    GuestState.PMSUSPENDED: "suspended by guest",
}

_UNKNOWN = ("unknown", "")

# state -> libvirt's reason number -> (stable code, words)
_REASONS: dict[GuestState, dict[int, tuple[str, str]]] = {
    GuestState.NOSTATE: {0: _UNKNOWN},
    GuestState.RUNNING: {
        0: _UNKNOWN,
        1: ("booted", "booted"),
        2: ("migrated", "migrated from another host"),
        3: ("restored", "restored from its saved state"),
        4: ("from_snapshot", "restored from a snapshot"),
        5: ("unpaused", "resumed"),
        6: ("migration_cancelled", "its migration was cancelled"),
        7: ("save_cancelled", "saving it was cancelled"),
        8: ("wakeup", "woken up"),
        9: ("crashed", "resumed after a crash"),
        10: ("postcopy", "in post-copy migration"),
        11: ("postcopy_failed", "its post-copy migration failed"),
    },
    GuestState.IDLE: {0: _UNKNOWN},
    GuestState.PAUSED: {
        0: _UNKNOWN,
        1: ("user", "by user"),
        2: ("migration", "for migration"),
        3: ("save", "while its state is saved"),
        4: ("dump", "while its memory is dumped"),
        5: ("io_error", "disk I/O error, or its disk is full"),
        6: ("watchdog", "by its watchdog"),
        7: ("from_snapshot", "restored from a snapshot"),
        9: ("snapshot", "while a snapshot is taken"),
        10: ("crashed", "the guest crashed"),
        11: ("starting_up", "starting up"),
        12: ("postcopy", "for post-copy migration"),
        13: ("postcopy_failed", "its post-copy migration failed"),
        14: ("api_error", "an error inside the hypervisor"),
    },
    GuestState.IN_SHUTDOWN: {0: _UNKNOWN, 1: ("user", "by user")},
    GuestState.SHUT_OFF: {
        0: _UNKNOWN,
        1: ("shutdown", "shut down by guest"),
        2: ("destroyed", "forced off"),
        3: ("crashed", "after a crash"),
        4: ("migrated", "moved to another host"),
        5: ("saved", "its state is saved"),
        6: ("failed", "it failed to start"),
        7: ("from_snapshot", "restored from a snapshot"),
        8: ("daemon", "ended by the libvirt daemon"),
    },
    GuestState.CRASHED: {0: _UNKNOWN, 1: ("panicked", "kernel panic")},
    GuestState.DYING: {8: ("shutting_down", "its process is ending")},
    GuestState.PMSUSPENDED: {0: _UNKNOWN},
}

_BY_NUMBER = (
    GuestState.NOSTATE,
    GuestState.RUNNING,
    GuestState.IDLE,
    GuestState.PAUSED,
    GuestState.IN_SHUTDOWN,
    GuestState.SHUT_OFF,
    GuestState.CRASHED,
    GuestState.PMSUSPENDED,
)
_PAUSED, _PAUSED_SHUTTING_DOWN = 3, 8

_REASON_WORDS: dict[GuestState, Mapping[str, str]] = {
    state: MappingProxyType(dict(numbered.values())) for state, numbered in _REASONS.items()
}


def reasons(state: GuestState) -> Mapping[str, str]:
    """Every reason code of a state with its words; the words of ``unknown`` are empty."""
    return _REASON_WORDS[state]


@dataclass(frozen=True, slots=True)
class GuestStatus:
    """A state with its reason code, one of ``reasons(state)``."""

    state: GuestState
    reason: str = "unknown"

    @classmethod
    def from_libvirt(cls, state: int, reason: int) -> GuestStatus:
        """From the two numbers of ``virDomainGetState``. Numbers of newer libvirt versions read as unknown."""
        return _STATUSES.get((state, reason)) or _STATUSES.get((state, 0)) or _NO_STATUS

    @property
    def reason_words(self) -> str:
        """Such as "by user"; empty when it is unknown."""
        return _REASON_WORDS[self.state].get(self.reason, "")

    @property
    def words(self) -> str:
        """Such as "paused: by user", or only the state when the reason is unknown."""
        why = self.reason_words
        return f"{self.state.words}: {why}" if why else self.state.words


_STATUSES: dict[tuple[int, int], GuestStatus] = {
    (number, reason): GuestStatus(state, code)
    for number, state in enumerate(_BY_NUMBER)
    for reason, (code, _) in _REASONS[state].items()
}
_STATUSES[_PAUSED, _PAUSED_SHUTTING_DOWN] = GuestStatus(GuestState.DYING, "shutting_down")
_NO_STATUS = GuestStatus(GuestState.NOSTATE)
