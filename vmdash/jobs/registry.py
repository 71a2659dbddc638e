"""The kinds of job there are: what each does, where it runs, and how the truth is found after an accident.

An app declares its kinds in a module that its `AppConfig.ready` imports:

    HOST_TEST = register(Kind(name="host.test", run=run_test, time_limit_s=60))

and makes jobs with `vmdash.jobs.services.create(kind=HOST_TEST, …)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from vmdash.exceptions import NotFound
from vmdash.jobs.models import Job
from vmdash.jobs.places import Need

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.jobs.context import JobContext

Result = Mapping[str, Any]
"""What a job leaves in `Job.result`: JSON values only."""


class Queue(StrEnum):
    """Each is served by a worker of its own, so that long work never delays short work."""

    ACTIONS = "actions"
    JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is true about an interrupted job: it came about, it did not, or (`RECONCILED`) neither can be told."""

    state: Literal[Job.State.SUCCEEDED, Job.State.FAILED, Job.State.CANCELLED, Job.State.RECONCILED]
    words: str
    """For people: "web1 is shut off: it was not started." """


def nothing_to_check(ctx: JobContext) -> Outcome:
    """For kinds that change nothing: an interrupted one has failed, and can be asked for anew."""
    return Outcome(Job.State.FAILED, "It was interrupted because its worker ended. Nothing was changed; try again.")


def _no_needs(job: Job) -> Sequence[Need]:
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job."""

    name: str
    """As stored in `Job.kind` and in the audit trail: `noun.verb`."""
    run: Callable[[JobContext], Result | None]
    """Does the work, in a worker. A `VmdashError` becomes the job's error in its own words."""
    reconcile: Callable[[JobContext], Outcome] = nothing_to_check
    """Asks what is true after the worker died. `vmdash.exceptions.Unavailable` means: ask again later."""
    queue: Queue = Queue.JOBS
    exclusive: bool = False
    """It changes its target: at most one such job is unfinished per target."""
    cancellable: bool = False
    """It may be cancelled while it runs: `run` must call `ctx.check()` often, and undo what it did when that raises
    `Cancelled`. The guest or volume stays busy until `run` has ended."""
    nothing_to_undo: bool = False
    """It only waits for what somebody else does: when it is cancelled it has ended at once, and what it was about is
    free for the next job."""
    time_limit_s: int = 600
    """After this the job counts as lost, and `reconcile` decides what came of it."""
    on_change: Callable[[Job], None] | None = None
    """Called after each change of state, in the process that made it: to tell pages what shows the job."""
    needs: Callable[[Job], Sequence[Need]] = _no_needs
    """The places that it must have to begin (`vmdash.jobs.places`); until then it stays queued. Asks no host."""
    again: Callable[[Job, User], Job] | None = None
    """Asks for a job that failed or was cancelled once more, with the same checks as the first time. None: the kind has
    nothing that can be tried again as it was. Raises VmdashError."""
    loses: str = ""
    """What it destroys, in words. Not empty: whoever asks for it again types the name of its target first."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    if kind.name in _kinds:
        raise ValueError(f"The job kind {kind.name} is registered twice.")
    _kinds[kind.name] = kind
    return kind


def find(name: str) -> Kind | None:
    """The kind of that name; None when no app of this version declares it."""
    return _kinds.get(name)


def get(name: str) -> Kind:
    """The kind of that name.

    Raises:
        NotFound: no app of this version declares it.
    """
    if kind := find(name):
        return kind
    raise NotFound(f"This version of vmdash has no job kind {name!r}.", hint="Ask for it anew.")


def choices() -> list[tuple[str, str]]:
    """For a filter: `("domain.force_off", "domain: force off")`."""
    return [(name, name.replace(".", ": ").replace("_", " ")) for name in sorted(_kinds)]


def queue_of(name: str) -> Queue:
    """Whose workers run (or, when nobody knows it any more, fail) a job of that kind."""
    kind = find(name)
    return kind.queue if kind else Queue.JOBS
