"""Carrying out the steps of a drain or return: each is a job of its own, a few at a time.

What has begun stands in the record together with its job, so any worker can go on from there. The parent's threads
work on the parts themselves: it does not depend on workers that may all be busy with parents.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction

from domains import services as actions
from domains.action_types import OFF, STATE_WORDS
from domains.draining.models import Drain, DrainedGuest, How
from domains.migration import services as migration
from domains.models import Domain, DomainState
from vmdash.exceptions import Conflict, NotFound, NotPermitted, VmdashError
from vmdash.jobs import execution
from vmdash.jobs import services as jobs
from vmdash.jobs.context import STOPPING, Cancelled
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.services import JobInTheWay
from vmdash.virt.migration_types import MigrationOptions

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from vmdash.access.models import User
    from vmdash.jobs.context import JobContext

log = logging.getLogger(__name__)

POLL_S = 0.5
PUSH_S = 3
"""A part that waits for its turn is looked at so often."""
STOPS_AT_ONCE = 4
"""Guests that are saved, shut down or started at once."""

Outcome = DrainedGuest.Outcome


class _Elsewhere(Conflict):
    """Nothing is to be done any more."""


class Carrying:
    """The steps of one job, used by one thread. Every step forward is a conditional UPDATE, so going on with what
    another worker began is the same as going on with one's own."""

    def __init__(self, ctx: JobContext, drain: Drain, *, returning: bool) -> None:
        self.ctx = ctx
        self.drain = drain
        self.returning = returning
        self._pushed: dict[UUID, float] = {}
        self._waiting: dict[UUID, str] = {}

    @property
    def steps(self) -> QuerySet[DrainedGuest]:
        return DrainedGuest.objects.filter(drain=self.drain, returning=self.returning)

    def run(self) -> None:
        """Until every step has ended. Raises Interrupted; after `Cancelled` all that had begun has ended."""
        width = settings.MIGRATIONS_PER_HOST + STOPS_AT_ONCE
        with ThreadPoolExecutor(width, thread_name_prefix="drain") as threads:
            try:
                while not insist(self._turn):
                    self._push(threads)
                    self.ctx.check()
                    STOPPING.wait(POLL_S)
            except Cancelled:
                self._stop(threads)
                raise

    def _turn(self) -> bool:
        """Write down what has ended, begin what may begin. Returns whether all is through."""
        self._settle()
        if self.ctx.job.cancel_requested_at is None:
            self._begin_some()
        self._show()
        return not self.steps.filter(outcome__in=[Outcome.PLANNED, Outcome.BEGUN]).exists()

    def _settle(self) -> None:
        for step in self.steps.filter(outcome=Outcome.BEGUN).select_related("job"):
            job = step.job
            if job is None:
                self._end(step, Outcome.BEGUN, Outcome.FAILED, "What came of it is not known: its job is gone.")
            elif job.state == Job.State.SUCCEEDED:
                self._end(step, Outcome.BEGUN, Outcome.DONE)
            elif job.state == Job.State.CANCELLED:
                self._end(step, Outcome.BEGUN, Outcome.CANCELLED)
            elif job.state not in Job.UNFINISHED:
                self._end(step, Outcome.BEGUN, Outcome.FAILED, job.error)

    def _end(self, step: DrainedGuest, before: Outcome, after: Outcome, error: str = "") -> None:
        if self.steps.filter(pk=step.pk, outcome=before).update(outcome=after, error=error[:500]) and error:
            self.ctx.log(f"{step.name}: {error}")

    def _begin_some(self) -> None:
        begun = [How(how) for how in self.steps.filter(outcome=Outcome.BEGUN).values_list("how", flat=True)]
        moves = sum(how.is_move for how in begun)
        stops = len(begun) - moves
        self._waiting = {}
        for step in self.steps.filter(outcome=Outcome.PLANNED):
            is_move = How(step.how).is_move
            if (moves >= settings.MIGRATIONS_PER_HOST) if is_move else (stops >= STOPS_AT_ONCE):
                continue
            if self._begin(step):
                moves, stops = moves + is_move, stops + (not is_move)

    def _begin(self, step: DrainedGuest) -> bool:
        """The record first, and with it the job, which workers hear of when both are committed."""
        try:
            with transaction.atomic():
                if not self.steps.filter(pk=step.pk, outcome=Outcome.PLANNED).update(outcome=Outcome.BEGUN):
                    return False
                domain = self._guest(step)
                job = self._ask(step, domain, self._person())
                self.steps.filter(pk=step.pk).update(job=job, from_state=domain.state)
                return True
        except JobInTheWay as error:
            self._waiting[step.uuid] = error.message
        except _Elsewhere as error:
            self._end(step, Outcome.PLANNED, Outcome.LEFT, error.message)
        except VmdashError as error:
            self._end(step, Outcome.PLANNED, Outcome.FAILED, str(error))
        return False

    def _person(self) -> User:
        person = self.ctx.job.requested_by
        if person is None:
            raise NotPermitted("Who asked for this is not known to vmdash any more.")
        return person

    def _guest(self, step: DrainedGuest) -> Domain:
        """Raises VmdashError when the step cannot, or need not, be taken any more."""
        domain = Domain.objects.present().select_related("host").filter(pk=step.uuid).first()
        if domain is None:
            raise NotFound(f"{step.name} is not in the inventory any more.")
        host, how = self.drain.host, How(step.how)
        if (how.is_move and self.returning) == (domain.host_id == host.pk):
            raise _Elsewhere(f"It is on {domain.host.name} by now.")
        if how in (How.SAVE, How.SHUTDOWN) and domain.state in OFF:
            raise _Elsewhere("It is off by now.")
        if how in (How.RESTORE, How.START) and domain.state not in OFF:
            raise _Elsewhere(f"It {STATE_WORDS[DomainState(domain.state)]} by now.")
        return domain

    def _ask(self, step: DrainedGuest, domain: Domain, user: User) -> Job:
        if not How(step.how).is_move:
            return actions.act_as_part(domain=domain, action=str(step.how), user=user, parent=self.ctx.job)
        if step.target is None:
            raise NotFound(f"{step.target_name} is not in the inventory any more.")
        return migration.request_migration(
            domain=domain,
            target=step.target,
            user=user,
            options=MigrationOptions(persistent=domain.persistent),
            parent=self.ctx.job,
        )

    @property
    def _unfinished(self) -> list[Job]:
        return list(self.ctx.job.children.filter(state__in=Job.UNFINISHED))

    def _push(self, threads: ThreadPoolExecutor) -> None:
        """Work on parts that nobody may be at work on: new ones, waiting ones, those whose worker was lost."""
        now = time.monotonic()
        for job in insist(lambda: self._unfinished):
            if job.state != Job.State.RUNNING and now - self._pushed.get(job.pk, -PUSH_S) >= PUSH_S:
                self._pushed[job.pk] = now
                threads.submit(_work_on, job)

    def _show(self) -> None:
        total = self.steps.exclude(outcome=Outcome.LEFT).count()
        ended = self.steps.filter(outcome__in=[Outcome.DONE, Outcome.FAILED, Outcome.CANCELLED]).count()
        words = f"{ended} of {total} guests are through"
        if self._waiting:
            words = f"{words}. {next(iter(self._waiting.values()))}"[:120]
        if self.ctx.job.phase != words:
            self.ctx.phase(words)
        if total:
            self.ctx.progress(100 * ended // total)

    def _stop(self, threads: ThreadPoolExecutor) -> None:
        """What has not begun never does; what has begun is cancelled, and waited for."""
        self.ctx.phase("Cancelling what has begun")
        insist(lambda: self.steps.filter(outcome=Outcome.PLANNED).update(outcome=Outcome.CANCELLED))
        asked: set[UUID] = set()
        while unfinished := insist(lambda: self._unfinished):
            for job in unfinished:
                if job.pk not in asked or job.state == Job.State.QUEUED:
                    asked.add(job.pk)
                    with suppress(Conflict):  # it cannot be stopped half-way: it comes to its end
                        jobs.cancel(job=job, user=None)
            self._push(threads)
            with suppress(Cancelled):
                self.ctx.check()
            STOPPING.wait(POLL_S)
        insist(self._settle)


def _work_on(job: Job) -> None:
    try:
        execution.execute(job)
    except Exception:  # the database or Redis is away: recovery calls a worker for it
        log.exception("The job %s was given up", job.pk)
    finally:
        connections.close_all()
