"""The job `host.ksm`: changes how many pages a host looks at for equal ones, and how long it pauses in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hosts.announce import read_host_again
from hosts.connect import connected
from hosts.models import Host
from vmdash.exceptions import NotFound
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Queue, Result, register
from vmdash.virt.errors import CallUnsupported, HostError

if TYPE_CHECKING:
    from vmdash.access.models import User


def _run(ctx: JobContext) -> Result:
    try:
        _apply(ctx)
    except HostError as error:
        raise OutcomeUnknown(error.message) from error
    return {}


def _apply(ctx: JobContext) -> None:
    """Raises VirtError, and NotFound: the host was removed."""
    host = Host.objects.filter(pk=ctx.job.target_id).select_related("credential").first()
    if host is None:
        raise NotFound(f"{ctx.job.target_name} is not in the list any more.")
    pages, pause = ctx.parameters["pages_to_scan"], ctx.parameters["sleep_ms"]
    with connected(host) as connection:
        before = connection.node.ksm()
        if before is None:
            raise CallUnsupported.because("change how memory is merged", host.name)
        ctx.log(f"It was {before.pages_to_scan} pages, then a pause of {before.sleep_ms} ms.")
        connection.node.set_ksm(pages_to_scan=pages, sleep_ms=pause)
        after = connection.node.ksm()
    if after is not None:
        ctx.log(f"The host tells {after.pages_to_scan} pages, then a pause of {after.sleep_ms} ms.")
    read_host_again(host.pk)


def _reconcile(ctx: JobContext) -> Outcome:
    """Setting it once more does no harm, so it is simply finished. Raises Unavailable."""
    _apply(ctx)
    return Outcome(Job.State.SUCCEEDED, "It was interrupted, and then done to its end.")


def _again(job: Job, user: User) -> Job:
    from hosts.ksm import services

    return services.again(job=job, user=user)


KSM = register(
    Kind(
        name="host.ksm",
        run=_run,
        reconcile=_reconcile,
        queue=Queue.ACTIONS,
        exclusive=False,
        time_limit_s=60,
        again=_again,
    )
)
