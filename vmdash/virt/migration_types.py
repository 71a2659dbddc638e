"""What a migration is asked for with, and what it tells. No libvirt is needed to import this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """How a guest is moved. Disks are by their target (`vda`); an empty `copy_disks` copies none.

    `bandwidth_mib_s`: 0 is as fast as it goes. `parallel`: connections, 0 for the one that is always there.
    `post_copy` only allows it: `start_post_copy` begins it. `data_uri` is where the memory is sent, such as
    `tcp://10.9.0.2`; empty: what the target's daemon says. `shared_storage` vouches for the disks that are not copied:
    without it libvirt refuses what it does not know to be shared.
    """

    live: bool = True
    persistent: bool = True
    undefine_source: bool = True
    copy_disks: tuple[str, ...] = ()
    shared_storage: bool = False
    bandwidth_mib_s: int = 0
    auto_converge: bool = True
    auto_converge_initial: int = 0
    auto_converge_increment: int = 0
    compress: bool = False
    parallel: int = 0
    post_copy: bool = False
    tls: bool = False
    abort_on_error: bool = True
    data_uri: str = ""
    peer_to_peer: bool = True

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """From what `stored()` gave."""
        return cls(**{**stored, "copy_disks": tuple(stored.get("copy_disks", ()))})

    def stored(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "copy_disks": list(self.copy_disks)}


@dataclass(frozen=True, slots=True)
class MigrationProgress:
    """What `virDomainGetJobStats` tells of a migration. Sizes in bytes; None where it does not tell.

    `downtime_ms` is expected while it lasts, and measured afterwards. `rounds` counts from 1. `throttle_percent` is how
    much auto-converge slows the guest down.
    """

    elapsed_ms: int
    processed_bytes: int
    remaining_bytes: int
    memory_total_bytes: int
    memory_remaining_bytes: int
    disk_total_bytes: int
    disk_remaining_bytes: int
    rate_bytes_per_s: int | None
    dirty_bytes_per_s: int | None
    rounds: int | None
    downtime_ms: int | None
    throttle_percent: int
    in_post_copy: bool

    @property
    def total_bytes(self) -> int:
        """What will have been sent when nothing changes any more; grows while the guest writes."""
        return self.processed_bytes + self.remaining_bytes
