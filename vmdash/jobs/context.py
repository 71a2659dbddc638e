"""What a running job holds: its row, its voice towards people, and the question whether to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from vmdash.jobs import transitions
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job, JobLine
from vmdash.jobs.rate import Rate

STOPPING = threading.Event()
"""Set when this worker is told to end: whoever waits stops waiting."""

REPORT_S = 0.5
"""Progress is written at most this often."""


class Interrupted(Exception):
    """The job shall not go on here. Let it pass through; `vmdash.jobs.execution` knows what to do.

    Only `Cancelled` asks for what was done to be undone. After the others the job is lost, and its kind's `reconcile`
    goes on: leave things as they are.
    """


class Cancelled(Interrupted):
    """Somebody asked for it to be cancelled: undo what was done, then let this pass."""


class TakenAway(Interrupted):
    """The row is not ours any more: recovery took it away."""


class Overdue(Interrupted):
    """The kind's time limit has passed."""


class WorkerStopping(Interrupted):
    """The worker is shutting down."""


class OutcomeUnknown(Interrupted):
    """What was asked of a host got no answer: the kind's `reconcile` finds out whether it came about."""


class JobContext:
    """Handed to `Kind.run` and `Kind.reconcile`. Used by one thread.

    While the database is away its methods wait for it.
    """

    def __init__(self, job: Job, *, time_limit_s: float) -> None:
        self.job = job
        self._deadline = time.monotonic() + time_limit_s
        self._reported = 0.0
        self._rate = Rate()

    @property
    def parameters(self) -> Mapping[str, Any]:
        parameters: Mapping[str, Any] = self.job.parameters
        return parameters

    def log(self, text: str) -> None:
        """Add a line to the job's log."""
        line = insist(lambda: JobLine.objects.create(job=self.job, text=text[:500]))
        transitions.publish_line(line)

    def phase(self, text: str) -> None:
        """Say what is being done now ("Waiting for the guest to shut down"); it is logged too."""
        self.log(text)
        self._report(phase=text[:120])

    def progress(self, percent: int) -> None:
        """How much is done, 0 to 100, where bytes cannot be told. Only a changed number is written."""
        if percent != self.job.progress_percent:
            self._report(progress_percent=percent)

    def transferred(
        self,
        done_bytes: int,
        total_bytes: int,
        *,
        rate_bytes_per_s: int | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> None:
        """How far a transfer is. Call it as often as you like: it is written twice a second, and at the end.

        The rate is measured here where the hypervisor does not tell it. `figures` are shown as the kind's page likes.
        """
        measured = self._rate.update(done_bytes)
        now = time.monotonic()
        if now - self._reported < REPORT_S and done_bytes < total_bytes:
            return
        self._reported = now
        rate = measured if rate_bytes_per_s is None else rate_bytes_per_s
        left = max(0, total_bytes - done_bytes)
        fields: dict[str, Any] = {
            "done_bytes": done_bytes,
            "total_bytes": total_bytes,
            "rate_bytes_per_s": rate,
            "seconds_left": round(left / rate) if rate else None,
            "progress_percent": min(100, 100 * done_bytes // total_bytes) if total_bytes else None,
        }
        if figures is not None:
            fields["figures"] = dict(figures)
        self._report(**fields)

    def note(self, **parameters: Any) -> None:
        """Add to the job's parameters, for good: what `reconcile` must know before the next step is taken."""
        self.job.parameters = {**self.job.parameters, **parameters}
        insist(lambda: Job.objects.filter(pk=self.job.pk).update(parameters=self.job.parameters))

    def let_go(self) -> None:
        """The target is free for other jobs from now on, although this one goes on."""
        self.job.exclusive = False
        insist(lambda: Job.objects.filter(pk=self.job.pk).update(exclusive=False))

    def check(self) -> None:
        """Raise `Interrupted` when the job shall not go on."""
        if STOPPING.is_set():
            raise WorkerStopping("Its worker was stopped")
        if time.monotonic() > self._deadline:
            raise Overdue("It took longer than it may")
        row = insist(Job.objects.filter(pk=self.job.pk).values_list("state", "cancel_requested_at").first)
        if row is None or row[0] != self.job.state:
            raise TakenAway("Another worker took it over")
        if row[1] is not None:
            self.job.cancel_requested_at = row[1]
            raise Cancelled("It was cancelled")

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.5) -> bool:
        """Whether `condition` came true in time. Raises `Interrupted` like `check`."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.check()
            STOPPING.wait(every_s)
        return True

    def _report(self, **fields: Any) -> None:
        insist(lambda: transitions.report(self.job, **fields))
