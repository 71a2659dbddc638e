"""What is done to pools, as job kinds. `storage.pool_services` asks for them.

After each, what libvirt now says of the pool is written down at once, and the collector reads its volumes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from hosts.connect import connected
from hosts.models import Host
from storage.inventory import forget_pool, record_pool
from storage.models import Pool
from storage.pool_actions import ACTIONS, PoolAction, Seen, obstacle, uses_of
from storage.services import pool_changed
from vmdash.exceptions import Conflict, NotFound
from vmdash.jobs.context import JobContext, OutcomeUnknown
from vmdash.jobs.database import insist
from vmdash.jobs.models import Job
from vmdash.jobs.registry import Kind, Outcome, Result, register
from vmdash.virt.errors import AlreadyExists, HostError, PoolNotFound
from vmdash.virt.xml.pool import PoolSpec

if TYPE_CHECKING:
    from vmdash.access.models import User
    from vmdash.virt.connection import HostConnection
    from vmdash.virt.pool import Pool as LivePool

REFRESH_S = 3600
"""A big pool takes its time."""


def target(ctx: JobContext) -> Pool:
    """The pool of a job. Raises NotFound when the inventory has it no more."""
    pool = Pool.objects.select_related("host__credential").filter(pk=ctx.parameters["pool"]).first()
    if pool is None:
        raise NotFound(f"{ctx.job.label}: its pool is not in the inventory any more.")
    return pool


def _live(facts_of: LivePool) -> Seen:
    facts = facts_of.facts()
    return Seen(Pool.State(str(facts.state)), facts.persistent, facts.autostart)


def reread(connection: HostConnection, pool: Pool) -> None:
    """Bring the row of a pool up to date, and have the collector read its volumes. Raises VirtError."""
    try:
        facts = connection.pool_with_uuid(str(pool.uuid)).facts()
    except PoolNotFound:
        insist(lambda: forget_pool(pool))
    else:
        insist(lambda: record_pool(pool.host, facts))
    pool_changed(pool.host_id, pool.uuid)


def _run(action: PoolAction, ctx: JobContext) -> Result:
    pool = target(ctx)
    with connected(pool.host) as connection:
        live = connection.pool_with_uuid(str(pool.uuid))
        seen = _live(live)
        if action.has_come_about(seen):
            ctx.log(action.already)
        elif reason := action.why_not(seen) or obstacle(action, pool, uses_of(pool)):
            raise Conflict(f"{action.titled(pool.name)} is not possible: {reason}")
        else:
            ctx.phase(f"Asking {pool.host.name}")
            try:
                _PERFORM[action.key](ctx, live)
            except HostError as error:
                raise OutcomeUnknown(error.message) from error
        reread(connection, pool)
    return {}


def _reconcile(action: PoolAction, ctx: JobContext) -> Outcome:
    """What is true of the pool after the action was interrupted. Raises Unavailable: its host cannot be asked now."""
    pool = target(ctx)
    with connected(pool.host) as connection:
        try:
            seen = _live(connection.pool_with_uuid(str(pool.uuid)))
        except PoolNotFound as error:
            insist(lambda: forget_pool(pool))
            if action.gone_is_goal:
                return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but it came about: {pool.name} is gone.")
            return Outcome(Job.State.FAILED, str(error))
        reread(connection, pool)
    if action.goal is None and not action.gone_is_goal:
        return Outcome(Job.State.RECONCILED, "It was interrupted. It can be asked for again without harm.")
    if action.has_come_about(seen):
        return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but it came about: {pool.name} is as asked for.")
    return Outcome(Job.State.FAILED, "It was interrupted before it came about. Ask for it anew.")


def _again(action: PoolAction, job: Job, user: User) -> Job:
    from storage import pool_services

    return pool_services.act(
        pool=pool_services.find(user, job.parameters["pool"]), action=action.key, user=user, confirm=job.target_name
    )


_PERFORM: dict[str, Callable[[JobContext, LivePool], None]] = {
    "start": lambda ctx, pool: pool.start(),
    "stop": lambda ctx, pool: pool.stop(),
    "refresh": lambda ctx, pool: pool.refresh(),
    "autostart_on": lambda ctx, pool: pool.set_autostart(True),
    "autostart_off": lambda ctx, pool: pool.set_autostart(False),
    "build": lambda ctx, pool: pool.build(overwrite=bool(ctx.parameters.get("overwrite"))),
    "delete": lambda ctx, pool: pool.delete(),
    "undefine": lambda ctx, pool: pool.undefine(),
}

KINDS: dict[str, Kind] = {
    action.key: register(
        Kind(
            name=action.kind_name,
            run=partial(_run, action),
            reconcile=partial(_reconcile, action),
            exclusive=True,
            time_limit_s=REFRESH_S,
            again=partial(_again, action),
        )
    )
    for action in ACTIONS.values()
}
"""By the action's key."""


# Defining


def _host(ctx: JobContext) -> Host:
    host = Host.objects.select_related("credential").filter(pk=ctx.parameters["host"]).first()
    if host is None:
        raise NotFound(f"{ctx.job.label}: the host is not in the inventory any more.")
    return host


def spec_of(job: Job) -> PoolSpec:
    """The pool that a job defines."""
    stored = job.parameters["spec"].items()
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored}
    return PoolSpec(**fields)


def _define(ctx: JobContext) -> Result:
    host, spec = _host(ctx), spec_of(ctx.job)
    with connected(host) as connection:
        try:
            connection.pool(spec.name)
        except PoolNotFound:
            pass
        else:
            raise AlreadyExists.because(f"define pool {spec.name}", host.name, reason="it has a pool of that name")
        try:
            live = connection.define_pool(spec.to_xml())
            ctx.log(f"{host.name} knows the pool now")
            _begin(ctx, live)
        except HostError as error:
            raise OutcomeUnknown(error.message) from error
        finally:
            pool_changed(host.pk)
        insist(lambda: record_pool(host, live.facts()))
    return {"uuid": live.uuid}


def _begin(ctx: JobContext, live: LivePool) -> None:
    """Build and start it, as asked for. What fails leaves the pool defined, for people to look at."""
    if ctx.parameters.get("build"):
        ctx.phase("Building it")
        live.build()
    if ctx.parameters.get("start"):
        ctx.phase("Starting it")
        live.start()
    if ctx.parameters.get("autostart"):
        live.set_autostart(True)


def _settle_definition(ctx: JobContext) -> Outcome:
    host, spec = _host(ctx), spec_of(ctx.job)
    with connected(host) as connection:
        try:
            facts = connection.pool(spec.name).facts()
        except PoolNotFound:
            return Outcome(Job.State.FAILED, f"It was interrupted before {host.name} knew the pool. Ask for it anew.")
    insist(lambda: record_pool(host, facts))
    pool_changed(host.pk, facts.uuid)
    state = Pool.State(str(facts.state))
    if ctx.parameters.get("start") and state == Pool.State.INACTIVE:
        return Outcome(Job.State.FAILED, f"It was interrupted: {spec.name} is defined, but not started. Start it.")
    return Outcome(Job.State.SUCCEEDED, f"It was interrupted, but {spec.name} is defined and {state.label}.")


def _define_again(job: Job, user: User) -> Job:
    from storage import pool_services

    options = {name: bool(job.parameters.get(name)) for name in ("build", "start", "autostart")}
    host = pool_services.find_host(user, job.parameters["host"])
    return pool_services.define(host=host, spec=spec_of(job), user=user, **options)


DEFINE = register(
    Kind(
        name="pool.define",
        run=_define,
        reconcile=_settle_definition,
        exclusive=True,
        time_limit_s=REFRESH_S,
        again=_define_again,
    )
)
