"""Disks that are held at their I/O limits, by the limits that hold now: each by itself, and those that share a limit by
what they do together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domains.models import Domain
from domains.tuning.selectors import tune_part
from domains.tuning.words import limit_value
from vmdash.exceptions import Unavailable
from vmdash.live.messages import GuestSample
from vmdash.metrics.query import labelled_at, labels, last_rate
from vmdash.metrics.ranges import some_readings_s
from vmdash.virt.xml.throttle import LIMITS, held
from vmdash.virt.xml.tuning import Tuning

AT_LIMIT = 0.9
PATIENCE_S = 1
"""So long may the history store take: a page waits for it."""

_COUNTERS = {
    "read_bytes_sec": "read_bytes",
    "write_bytes_sec": "write_bytes",
    "read_iops_sec": "read_requests",
    "write_iops_sec": "write_requests",
}
_SUMS = {
    "total_bytes_sec": ("read_bytes_sec", "write_bytes_sec"),
    "total_iops_sec": ("read_iops_sec", "write_iops_sec"),
}
_NOT_IN_TICKS = ("read_iops_sec", "write_iops_sec")
"""There they are one figure."""


@dataclass(frozen=True, slots=True)
class DiskLimit:
    """`key` is one of `LIMITS`, `value` what it allows these disks together a second. `group`: the name under which
    several share it."""

    disks: tuple[str, ...]
    group: str
    key: str
    value: int

    @property
    def words(self) -> str:
        """ "vdb is held at its limit of 20 MiB/s read" """
        disks, value = ", ".join(self.disks), limit_value(self.key, self.value)
        if self.group:
            return f"{disks} are held at the limit of {value} that they share (group {self.group})"
        return f"{disks} is held at its limit of {value}"

    def is_reached_by(self, rate: float | None) -> bool:
        return rate is not None and rate >= AT_LIMIT * self.value


def limits_reached(guest: Domain, sample: GuestSample) -> list[DiskLimit]:
    """By fresh figures. One request to the history store at most, where ticks, which have one figure for all disks,
    leave open whether it is so; while the store does not answer, that stays open and is not said."""
    together = _together(sample)
    possible = [limit for limit in _limits(tune_part(guest).known) if limit.is_reached_by(together[limit.key])]
    all_disks = {disk["target"] for disk in guest.disks}  # and the medium in a drive
    if all(all_disks <= set(limit.disks) and limit.key not in _NOT_IN_TICKS for limit in possible):
        return possible
    return list(_reached(guest, possible))


def _limits(known: Tuning) -> Iterator[DiskLimit]:
    for one in held(known.disks, known.groups):
        for key in LIMITS:
            if value := one.limits.get(key):
                yield DiskLimit(one.disks, one.group, key, value)


def _together(sample: GuestSample) -> dict[str, float | None]:
    """What all disks do a second, by what limits count: no disk does more."""
    read, written, requests = sample["rd"], sample["wr"], sample.get("ops")
    return {
        "total_bytes_sec": None if read is None and written is None else (read or 0) + (written or 0),
        "read_bytes_sec": read,
        "write_bytes_sec": written,
        **dict.fromkeys(("total_iops_sec", *_NOT_IN_TICKS), requests),
    }


def _reached(guest: Domain, limits: Sequence[DiskLimit]) -> Iterator[DiskLimit]:
    """Those of them that their disks reach, as was recorded last."""
    only = labels(uuid=str(guest.pk), host=guest.host.name)
    over = f"{some_readings_s()}s"
    asked = {
        key: last_rate(f"libvirt_domain_block_stats_{counter}_total{only}", over) for key, counter in _COUNTERS.items()
    }
    try:
        told = labelled_at(asked, int(time.time()), timeout_s=PATIENCE_S)
    except Unavailable:
        return
    rates = {(found.get("target_device", ""), key): rate for key, found, rate in told}
    for limit in limits:
        known = [rates.get((disk, key)) for disk in limit.disks for key in _SUMS.get(limit.key, (limit.key,))]
        if limit.is_reached_by(sum(rate or 0 for rate in known)):
            yield limit
