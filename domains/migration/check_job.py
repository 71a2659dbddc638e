"""The job `domain.migrate_check`: asks both sides whether a guest can move, for as many targets as were chosen."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from domains.actions import host_obstacle
from domains.migration.checks import Answer, Question, check
from domains.migration.lines import failed
from domains.models import Domain
from hosts.connect import connected, migration_uri
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from vmdash.exceptions import NotFound, Unavailable
from vmdash.jobs import transitions
from vmdash.jobs.database import insist
from vmdash.jobs.registry import Kind, Result, register
from vmdash.virt.errors import CallError, HostError

if TYPE_CHECKING:
    from vmdash.jobs.context import JobContext
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.guest import Guest

MEASURED_S = 1
"""How long it is watched how much memory the guest writes."""


def run(ctx: JobContext) -> Result:
    """`result["targets"]` and, while it lasts, `figures["targets"]`: by the target's id, what `Answer.stored` gives."""
    domain = insist(Domain.objects.present().filter(pk=ctx.job.target_id).first)
    hosts = insist(
        lambda: Host.objects.select_related("credential").in_bulk(
            [ctx.parameters["source"], *ctx.parameters["targets"]]
        )
    )
    source = hosts.get(ctx.parameters["source"])
    if domain is None or source is None:
        raise NotFound(f"{ctx.job.target_name} or its host is not in the inventory any more.")
    if reason := host_obstacle(source):
        raise Unavailable(reason)
    found: dict[str, Any] = {}
    with connected(source) as connection:
        guest = connection.guest(str(domain.pk))
        active = guest.is_active()
        dirty = _dirty_rate(ctx, guest) if active else None
        for pk in ctx.parameters["targets"]:
            ctx.check()
            if target := hosts.get(pk):
                ctx.phase(f"Asking {target.name}")
                answer = _ask(ctx, domain, source, target, connection, guest, active, dirty)
                found[str(pk)] = answer.stored()
                figures = {"targets": dict(found)}
                insist(lambda figures=figures: transitions.report(ctx.job, figures=figures))  # type: ignore[misc]
    return {"targets": found, "dirty_bytes_per_s": dirty}


def _ask(
    ctx: JobContext,
    domain: Domain,
    source_host: Host,
    target_host: Host,
    source: HostConnection,
    guest: Guest,
    active: bool,
    dirty: int | None,
) -> Answer:
    if reason := host_obstacle(target_host):
        return Answer([failed("Host", reason.replace("Its host ", ""), "Look at its page.")], [])
    if reason := maintenance_obstacle(target_host):
        return Answer([failed("Host", reason)], [])
    if source_host.driver != target_host.driver:
        return Answer([failed("Host", f"It has another hypervisor: {target_host.get_driver_display()}.")], [])
    if not migration_uri(target_host):
        return Answer([failed("Host to host", "Nothing leads to it from other hosts.", "Give it a migration URI.")], [])
    with ExitStack() as stack:
        try:
            target = stack.enter_context(connected(target_host))
            question = Question(
                domain, source_host, target_host, source, target, guest, guest.definition(), active, dirty
            )
            return check(question, tag=ctx.job.pk.hex[:8])
        except HostError as error:
            if not source.is_alive():
                raise
            return Answer([failed("Host", error.message, error.hint)], [])


def _dirty_rate(ctx: JobContext, guest: Guest) -> int | None:
    """Bytes per second; None when it cannot be measured here."""
    from vmdash.virt import migration

    ctx.phase("Measuring how fast the guest writes memory")
    try:
        migration.start_dirty_rate(guest, MEASURED_S)
        end = time.monotonic() + MEASURED_S + 3
        while time.monotonic() < end:
            time.sleep(0.2)
            if (rate := migration.dirty_rate(guest)) is not None:
                return rate
    except CallError as error:
        ctx.log(error.message)
    return None


CHECK = register(Kind(name="domain.migrate_check", run=run, cancellable=True, time_limit_s=300))
