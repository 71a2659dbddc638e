"""What all snapshot jobs do: write down at the end what there is, and wait for calls that cannot be interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from domains.actions import host_obstacle
from domains.live_guest import live, target_of
from domains.models import Domain
from domains.snapshots.recording import record_snapshots
from domains.snapshots.work.files import Files, sizes
from hosts.connect import connected
from vmdash.exceptions import Unavailable
from vmdash.jobs.context import Cancelled, Interrupted, JobContext, OutcomeUnknown
from vmdash.jobs.database import insist
from vmdash.virt.errors import CallError, CallUnsupported, HostError, InvalidState, VirtError
from vmdash.virt.snapshot import snapshots

if TYPE_CHECKING:
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest

T = TypeVar("T")
log = logging.getLogger(__name__)

POLL_S = 0.5


@contextmanager
def at_work(ctx: JobContext, *, checking: bool = False) -> Iterator[tuple[Domain, HostConnection, Guest]]:
    """The guest of the job, live. Afterwards its snapshots are written down as they are then.

    `checking`: for `reconcile`, which is asked again later when the host does not answer. While a job runs, a lost
    connection leaves open what came of it.

    Raises:
        Unavailable: the host is not up. NotFound: the guest is gone. OutcomeUnknown.
    """
    domain = target_of(ctx.job)
    if reason := host_obstacle(domain.host):
        raise Unavailable(reason)
    try:
        with live(domain) as (connection, guest):
            try:
                yield domain, connection, guest
            finally:
                write_down(domain, connection, guest)
    except HostError as error:
        if checking:
            raise
        raise OutcomeUnknown(error.message) from error


def write_down(domain: Domain, connection: HostConnection, guest: Guest) -> None:
    """What snapshots the guest has, for pages. What cannot be read now, its collector reads."""
    try:
        facts = [one.facts() for one in snapshots(guest)]
        taken = sizes(Files(connection), [one.definition for one in facts])
    except VirtError as error:
        log.info("The snapshots of %s cannot be written down now: %s", domain.name, error)
        return
    insist(lambda: record_snapshots(domain.pk, facts, sizes=taken))


def patiently(ctx: JobContext, call: Callable[[], T], *, domain: Domain, abort: bool = False) -> T:
    """Make a call that takes long and cannot be interrupted, and watch it from another connection meanwhile.

    With `abort`, libvirt is asked to end it when the job is cancelled. The call is waited for in any case: its
    connection may not be closed under it.

    Raises:
        Interrupted: once the call has ended, if it succeeded all the same; `Cancelled` also if it failed.
    """
    interrupted: Interrupted | None = None
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(call)
        try:
            with connected(domain.host) as connection:
                guest = connection.guest(str(domain.uuid))
                while not future.done():
                    _show_progress(ctx, guest)
                    if interrupted is None:
                        interrupted = _asked_to_stop(ctx)
                        if abort and isinstance(interrupted, Cancelled):
                            _abort(guest)
                    try:
                        future.result(timeout=POLL_S)
                    except NotYet:
                        continue
                    except Exception:  # raised below, for all ways that lead there
                        break
        except VirtError as error:
            log.info("%s cannot be watched: %s", ctx.job.label, error)
        try:
            result = future.result()
        except CallError as error:
            if isinstance(interrupted, Cancelled):
                raise interrupted from error
            raise
    if interrupted:
        raise interrupted
    return result


def report_left(ctx: JobContext, left: Iterable[str]) -> None:
    """Say what could not be deleted."""
    for path in left:
        ctx.log(f"{path} is not needed any more, but no storage pool shows it: delete it by hand.")


def _asked_to_stop(ctx: JobContext) -> Interrupted | None:
    try:
        ctx.check()
    except Interrupted as reason:
        return reason
    return None


def _abort(guest: Guest) -> None:
    try:
        guest.abort_job()
    except CallError as error:  # it has just ended, or this kind cannot be aborted: then what it did is undone
        log.info("The job on %s cannot be aborted: %s", guest.name, error)


def _show_progress(ctx: JobContext, guest: Guest) -> None:
    try:
        job = guest.job()
    except (CallUnsupported, InvalidState):
        return
    if job and job.total_bytes:
        ctx.transferred(job.processed_bytes or 0, job.total_bytes)
