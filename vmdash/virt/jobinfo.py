"""The hypervisor's long job on a guest (``virDomainGetJobStats``): migration, save, dump, backup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import libvirt

_OPERATIONS = (
    "unknown", "start", "save", "restore", "migration_in", "migration_out", "snapshot", "snapshot_revert", "dump",
    "backup", "snapshot_delete",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JobInfo:
    """``operation`` after ``virDomainJobOperation``. Sizes are None where this kind of job does not tell.

    ``iteration`` is the round over the guest's memory, ``dirty_pages_per_s`` how fast it changes meanwhile.
    """

    operation: str
    elapsed_ms: int
    remaining_ms: int | None
    total_bytes: int | None
    processed_bytes: int | None
    remaining_bytes: int | None
    rate_bytes_per_s: int | None
    iteration: int | None
    dirty_pages_per_s: int | None
    page_bytes: int | None
    downtime_ms: int | None

    @classmethod
    def from_libvirt(cls, told: Mapping[str, Any]) -> JobInfo | None:
        """None when there is no job."""
        if told.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
            return None
        number = told.get(libvirt.VIR_DOMAIN_JOB_OPERATION, 0)
        return cls(
            operation=_OPERATIONS[number] if number < len(_OPERATIONS) else "unknown",
            elapsed_ms=told.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED, 0),
            remaining_ms=told.get(libvirt.VIR_DOMAIN_JOB_TIME_REMAINING),
            total_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL),
            processed_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED),
            remaining_bytes=told.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING),
            rate_bytes_per_s=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_BPS),
            iteration=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_ITERATION),
            dirty_pages_per_s=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE),
            page_bytes=told.get(libvirt.VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE),
            downtime_ms=told.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME),
        )
