"""The job `domain.migrate`: moves a guest, and finds out where it is when anything on the way has died."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from django.utils import timezone

from domains.action_jobs import show_job
from domains.actions import host_obstacle
from domains.migration.follow import Follower
from domains.migration.move import Move
from domains.migration.plan import DiskPlan, How, plan_disks
from domains.migration.settle import Settled, look, settle
from domains.migration.sharing import volume_at
from domains.models import Migration
from hosts.connect import connected, migration_uri
from hosts.maintenance import maintenance_obstacle
from storage import copying, undoing
from vmdash.exceptions import Conflict, Unavailable, VmdashError
from vmdash.jobs.context import STOPPING, Cancelled, JobContext, OutcomeUnknown
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.places import Need
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.live.redis import client, refresh_key
from vmdash.virt.errors import CallError, GuestNotFound, HostError, PoolBusy
from vmdash.virt.xml.migration import for_target
from vmdash.virt.xml.volume import VolumeSpec

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest

log = logging.getLogger(__name__)

TIME_LIMIT_S = 24 * 3600
ENDING_S = 120
"""After it was stopped, libvirt may need so long to say so."""


def needs(job: Job) -> Sequence[Need]:
    """A place among those that leave the source, and one among those that arrive at the target."""
    most = settings.MIGRATIONS_PER_HOST
    source, target = job.parameters["source_name"], job.parameters["target_name"]
    many = "one guest" if most == 1 else f"{most} guests"
    return (
        Need(f"migration-out:{source}", most, f"{many} at once may leave {source}, and as many do."),
        Need(f"migration-in:{target}", most, f"{many} at once may arrive at {target}, and as many do."),
    )


def run(ctx: JobContext) -> Result:
    """Raises VmdashError in words for people, Interrupted."""
    move = Move.of(ctx.job)
    for host in (move.source, move.target):
        if reason := host_obstacle(host):
            raise Unavailable(f"Cannot move {move.name} to {move.target.name}. {reason}")
    if reason := maintenance_obstacle(move.target):  # since it was asked for
        raise Conflict(f"Cannot move {move.name} to {move.target.name}. {reason}")
    began = time.monotonic()
    moving = _Moving(ctx, move)
    failure: VmdashError | None = None
    cancelled: Cancelled | None = None
    try:
        try:
            moving.prepare()
            moving.start()
            moving.follow()
        except Cancelled as error:
            cancelled = error
            moving.stop()
        except VmdashError as error:
            failure = error
        failure = moving.wait() or failure
        try:
            settled = settle(ctx, moving.move, moving.source, moving.target)
        except (HostError, PoolBusy) as error:
            raise OutcomeUnknown(f"{failure.message if failure else ''} {error.message}".strip()) from error
        return _conclude(ctx, moving.move, settled, failure, cancelled, began, moving)
    finally:
        moving.close()


def _conclude(
    ctx: JobContext,
    move: Move,
    settled: Settled,
    failure: VmdashError | None,
    cancelled: Cancelled | None,
    began: float,
    moving: _Moving,
) -> Result:
    duration_ms = round((time.monotonic() - began) * 1000)
    if settled.arrived:
        if cancelled:
            ctx.log("It had arrived already when it was cancelled")
        return _keep(move, settled, Migration.Outcome.MOVED, duration_ms)
    outcome = Migration.Outcome.CANCELLED if cancelled else Migration.Outcome.FAILED
    _keep(move, settled, outcome, duration_ms, error=str(failure) if failure else "")
    ctx.log(settled.words)
    if cancelled:
        raise cancelled
    reason = failure or Conflict(f"{move.name} did not move to {move.target.name}.")
    raise type(reason)(f"{reason.message} {settled.words}", hint=reason.hint, detail=reason.detail)


def _keep(move: Move, settled: Settled, outcome: Migration.Outcome, duration_ms: int, error: str = "") -> Result:
    """Write down what it took, for the guest's page and for the next prediction."""
    told = settled.told
    fields = {
        "domain": move.domain,
        "source_name": move.source.name,
        "target_name": move.target.name,
        "how": move.how,
        "outcome": outcome,
        "error": error[:500],
        "started_at": move.job.started_at or timezone.now(),
        "duration_ms": duration_ms,
        "downtime_ms": told.downtime_ms if told else None,
        "transferred_bytes": told.processed_bytes if told else None,
        "rounds": told.rounds if told else None,
    }
    insist(lambda: Migration.objects.update_or_create(job=move.job, defaults=fields))
    return {
        "outcome": str(outcome),
        "duration_ms": duration_ms,
        "downtime_ms": fields["downtime_ms"],
        "transferred_bytes": fields["transferred_bytes"],
        "rounds": fields["rounds"],
    }


class _Moving:
    """The call that moves, in a thread of its own, since it blocks until the end; and what goes on beside it.

    libvirt lets nobody close a connection while another thread is in a call on it, so each thread closes its own; what
    is given up half-way (its worker ends) stays with that thread.
    """

    def __init__(self, ctx: JobContext, move: Move) -> None:
        self.ctx = ctx
        self.move = move
        self.source: HostConnection | None = None
        self.target: HostConnection | None = None
        self._opened = ExitStack()
        self._callers = ExitStack()
        self._guest: Guest | None = None
        self._watched: Guest | None = None
        self._xmls = ("", "")
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def prepare(self) -> None:
        """Plan, if that was not done yet, and make the volumes that its disks are copied into."""
        connection = self._callers.enter_context(connected(self.move.source))
        self._guest = guest = connection.guest(self.move.uuid)
        disks = list(self.move.known_disks or [])
        if self.move.known_disks is None:
            self.ctx.phase("Looking which of its disks both hosts have")
            disks = plan_disks(connection, self._open_target(), guest, tag=self.move.tag)
        facts = guest.facts()
        if stuck := [disk for disk in disks if disk.how is How.STUCK]:
            raise Conflict(f"Cannot move {guest.name}: {stuck[0].obstacle}.", hint=stuck[0].remedy)
        options = replace(
            self.move.options,
            live=facts.status.state.is_active,
            persistent=(self.move.options.persistent and facts.persistent) or not facts.status.state.is_active,
        )
        if not facts.persistent:
            options = replace(options, undefine_source=False)
        self.move = self.move.planned(
            disks=disks,
            options=options,
            was_defined_there=self._is_there(options.live),
            autostart=facts.autostart,
            paused=facts.status.state.value == "paused",
        )
        self._xmls = self._definitions(guest)
        if self.move.options.live:
            self._make_volumes(self.move.copied)
        else:
            self._copy_volumes(connection, self.move.copied)

    def _is_there(self, live: bool) -> bool:
        """Whether the target has a definition of it already. A live move that fails leaves none."""
        if self.target is None and live:
            return True
        return look(self._open_target(), self.move.uuid).status is not None

    def _definitions(self, guest: Guest) -> tuple[str, str]:
        """For now and for the next start; empty where libvirt's own is right."""
        paths = {disk.target: disk.path for disk in self.move.copied}
        if not self.move.options.live:
            changed = for_target(guest.xml(secure=True, inactive=True), paths=paths)
            return changed, changed
        now = for_target(guest.xml(secure=True, migratable=True), paths=paths)
        if not self.move.options.persistent:
            return now, ""
        return now, for_target(guest.xml(secure=True, inactive=True), paths=paths)

    def _make_volumes(self, disks: Sequence[DiskPlan]) -> None:
        """For libvirt to fill while the guest moves."""
        for disk in disks:
            self.ctx.phase(f"Making {disk.volume} in pool {disk.pool} of {self.move.target.name}")
            pool = self._open_target().pool(disk.pool)
            with suppress(PoolBusy):  # a file that it has not seen yet may be there; it would refuse to make another
                pool.refresh()
            undoing.refuse_existing(pool, disk.volume)
            with undoing.begun(self.ctx, self.move.target, disk.pool, disk.volume):
                pool.create_volume(VolumeSpec(disk.volume, disk.capacity_bytes, disk.format))

    def _copy_volumes(self, source: HostConnection, disks: Sequence[DiskPlan]) -> None:
        """Of a guest that is off: byte by byte, through this worker."""
        for disk in disks:
            self.ctx.phase(f"Copying {disk.volume} into pool {disk.pool} of {self.move.target.name}")
            with suppress(PoolBusy):
                self._open_target().pool(disk.pool).refresh()
            volume = volume_at(source, disk.source_path)
            copying.copy_between_hosts(
                self.ctx,
                source_host=self.move.source,
                source_pool=volume.pool_name,
                source_name=volume.name,
                target_host=self.move.target,
                target_pool=disk.pool,
                spec=VolumeSpec(disk.volume, disk.capacity_bytes, disk.format),
            )

    def start(self) -> None:
        self.ctx.check()
        self.ctx.phase(f"Asking {self.move.source.name} to send it to {self.move.target.name}")
        self._thread = threading.Thread(
            target=self._call, args=[self._guest], name=f"move-{self.move.name}", daemon=True
        )
        self._thread.start()

    def _call(self, guest: Guest) -> None:
        from vmdash.virt import migration

        now, next_start = self._xmls
        with self._callers:
            try:
                migration.migrate(
                    guest,
                    migration_uri(self.move.target),
                    self.move.options,
                    target_xml=now,
                    persistent_xml=next_start,
                )
            except BaseException as error:
                self._failure = error
            finally:
                self._guest = None
                self._ended.set()

    def follow(self) -> None:
        """Until the call has returned. Raises Interrupted, HostError."""
        if self._ended.wait(0.05):
            return
        if self.source is None:
            self.source = self._opened.enter_context(connected(self.move.source))
        try:
            self._open_target()  # beside the work, so that its end need not wait for it
        except HostError as error:
            self.ctx.log(error.message)
        try:
            self._watched = self.source.guest(self.move.uuid)
        except GuestNotFound:
            self._ended.wait(ENDING_S)
            return
        Follower(self.ctx, self._watched, post_copy=self.move.options.post_copy).until(self._ended.wait)

    def _open_target(self) -> HostConnection:
        if self.target is None:
            self.target = self._opened.enter_context(connected(self.move.target))
        return self.target

    def stop(self) -> None:
        """Have libvirt stop it. What cannot be stopped any more ends by itself."""
        self.ctx.phase("Stopping it")
        _abort(self.ctx, self._watched)

    def wait(self) -> VmdashError | None:
        """Until the call has returned. Returns what went wrong."""
        if self._thread is None:
            return None
        if not self._ended.wait(ENDING_S):
            raise OutcomeUnknown(f"{self.move.source.name} has not ended the move yet")
        failure = self._failure
        if failure is not None and not isinstance(failure, VmdashError):
            raise failure
        return failure

    def close(self) -> None:
        self._watched = None
        if self._thread is None:
            self._guest = None
            self._callers.close()
        self._opened.close()
        tell_collectors(self.move)


def _abort(ctx: JobContext, guest: Guest | None) -> None:
    from vmdash.virt import migration

    if guest is None:
        return
    try:
        migration.abort(guest)
    except (CallError, HostError) as error:
        ctx.log(f"It could not be stopped. {error.message}")


def reconcile(ctx: JobContext) -> Outcome:
    """What came of it. One that goes on without us is followed to its end, and can be cancelled.

    Raises:
        Unavailable: a host cannot be asked now. Cancelled: it was, and all is undone.
    """
    move = Move.of(ctx.job)
    if reason := host_obstacle(move.source):
        raise Unavailable(reason)
    cancelled = None
    try:
        _follow_on(ctx, move)
    except Cancelled as error:
        cancelled = error
    try:
        settled = settle(ctx, move)
    finally:
        tell_collectors(move)
    began = ctx.job.started_at or timezone.now()
    duration_ms = round((timezone.now() - began).total_seconds() * 1000)
    if settled.arrived:
        _keep(move, settled, Migration.Outcome.MOVED, duration_ms)
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but it came about: {settled.words}")
    outcome = Migration.Outcome.CANCELLED if cancelled else Migration.Outcome.FAILED
    _keep(move, settled, outcome, duration_ms, error=settled.words)
    if cancelled:
        raise cancelled
    return Outcome(Job.State.FAILED, f"It was interrupted before it came about: {settled.words}")


def _follow_on(ctx: JobContext, move: Move) -> None:
    """Take up again what libvirt goes on with. Raises Interrupted, HostError."""
    with connected(move.source) as connection:
        try:
            guest = connection.guest(move.uuid)
        except GuestNotFound:
            return
        follower = Follower(ctx, guest, post_copy=move.options.post_copy)

        def ended(seconds: float) -> bool:
            return STOPPING.wait(seconds) or follower.look() is None

        if follower.look() is None:
            return
        ctx.log("It goes on without its worker; following it from here")
        try:
            follower.until(ended)
        except Cancelled:
            _abort(ctx, guest)
            raise


def tell_collectors(move: Move) -> None:
    """Have both hosts read the guest again, even if an event got lost."""
    try:
        with client().pipeline() as pipe:
            for host in (move.source, move.target):
                pipe.rpush(refresh_key(host.pk), move.uuid)
                pipe.expire(refresh_key(host.pk), settings.SWEEP_INTERVAL_S)
            pipe.execute()
    except redis.RedisError as error:
        log.warning("The collectors are not told to read %s again: %s", move.name, error)


def _again(job: Job, user: User) -> Job:
    from domains.migration import services

    return services.retry(job=job, user=user)


MIGRATE = register(
    Kind(
        name="domain.migrate",
        run=run,
        reconcile=reconcile,
        exclusive=True,
        cancellable=True,
        time_limit_s=TIME_LIMIT_S,
        on_change=show_job,
        needs=needs,
        again=_again,
    )
)
