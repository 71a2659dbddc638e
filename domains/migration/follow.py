"""Following a migration while it lasts: its figures to the page, orders to libvirt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis

from domains.migration import orders
from domains.migration.stall import StallWatch
from vmdash.virt.errors import CallError, GuestNotFound, HostError

if TYPE_CHECKING:
    from vmdash.jobs.context import JobContext
    from vmdash.virt.guest import Guest
    from vmdash.virt.migration_types import MigrationProgress

log = logging.getLogger(__name__)

POLL_S = 0.4


class Follower:
    """What is known of one migration on its way. `guest` is a handle of a connection of its own."""

    def __init__(self, ctx: JobContext, guest: Guest, *, post_copy: bool) -> None:
        self._ctx = ctx
        self._guest = guest
        self._stall = StallWatch()
        self._post_copy_allowed = post_copy
        self._max_downtime_ms: int | None = None
        self._asked: dict[str, int] = {}
        self._phase = ""
        self.last: MigrationProgress | None = None

    def until(self, ended: Callable[[float], bool]) -> None:
        """Follow it until `ended(seconds)`, which waits for so long, says so.

        Raises Interrupted (cancelled, among others) and HostError.
        """
        while not ended(POLL_S):
            self._ctx.check()
            self._obey()
            self.look()

    def look(self) -> MigrationProgress | None:
        """Read and report how far it is; None when there is nothing to read. Raises HostError."""
        from vmdash.virt import migration

        try:
            told = migration.progress(self._guest)
            if told and self._max_downtime_ms is None:
                self._max_downtime_ms = migration.max_downtime_ms(self._guest)
        except HostError:
            raise
        except (GuestNotFound, CallError):  # it has just left
            return None
        if told:
            self.last = told
            self._report(told)
        return told

    def _report(self, told: MigrationProgress) -> None:
        if told.in_post_copy:
            phase = "It runs at the target already; the rest of its memory follows"
        elif told.disk_remaining_bytes and not told.memory_total_bytes:
            phase = "Copying its disks"
        elif (told.rounds or 0) > 1:
            phase = f"Copying what it wrote meanwhile, round {told.rounds}"
        else:
            phase = "Copying its memory"
        if phase.split(",")[0] != self._phase:
            self._phase = phase.split(",")[0]
            self._ctx.phase(phase)
        self._ctx.transferred(
            told.processed_bytes,
            told.total_bytes + 1,  # never through before libvirt says so
            rate_bytes_per_s=told.rate_bytes_per_s,
            figures=self._figures(told),
        )

    def _figures(self, told: MigrationProgress) -> dict[str, Any]:
        return {
            "rounds": told.rounds,
            "dirty_bytes_per_s": told.dirty_bytes_per_s,
            "rate_bytes_per_s": told.rate_bytes_per_s,
            "remaining_bytes": told.remaining_bytes,
            "disk_remaining_bytes": told.disk_remaining_bytes,
            "expected_downtime_ms": told.downtime_ms,
            "max_downtime_ms": self._max_downtime_ms,
            "throttle_percent": told.throttle_percent,
            "post_copy_allowed": self._post_copy_allowed,
            "in_post_copy": told.in_post_copy,
            "stalled": self._stall.look(told),
        }

    def _obey(self) -> None:
        """Carry out what people asked for; what libvirt refuses is said in the job's log."""
        try:
            order = orders.take(self._ctx.job.pk)
        except redis.RedisError as error:
            log.warning("Orders for job %s cannot be read: %s", self._ctx.job.pk, error)
            return
        if order is None:
            return
        try:
            orders.carry_out(self._guest, order)
        except HostError:
            raise
        except CallError as error:
            self._ctx.log(f"{order.words}: refused. {error.message}")
            return
        if order.key == "downtime":
            self._max_downtime_ms = order.amount
        self._ctx.log(f"{order.words}, asked for by {order.by}")
