"""Asking for changes of pools. What is asked for becomes a job; a worker does it, and looks again before."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import asdict

from hosts.connect import endpoint
from hosts.models import Host
from storage.inventory import READABLE
from storage.models import Pool
from storage.pool_actions import ACTIONS, PoolAction, Seen, host_obstacle, obstacle, uses_of, virsh_command
from storage.pool_jobs import DEFINE, KINDS
from storage.sharing import COMPARE, TYPES
from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Conflict, InvalidInput, NotFound, NotPermitted
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.virt.xml.pool import PoolSpec


class ConfirmationNeeded(InvalidInput):
    """The action destroys something, and the name of the pool was not typed as it is."""


def find(user: User, pk: int) -> Pool:
    """Raises NotFound."""
    pool = Pool.objects.visible_to(user).select_related("host").filter(pk=pk).first()
    if pool is None:
        raise NotFound("There is no such pool.")
    return pool


def find_host(user: User, pk: int) -> Host:
    """Raises NotFound."""
    host = Host.objects.visible_to(user).filter(pk=pk).first()
    if host is None:
        raise NotFound("There is no such host.")
    return host


def find_action(key: str) -> PoolAction:
    """Raises InvalidInput."""
    if action := ACTIONS.get(key):
        return action
    raise InvalidInput(f"There is no action {key[:40]!r}.", hint=f"Actions: {', '.join(ACTIONS)}.")


def act(*, pool: Pool, action: str, user: User, confirm: str = "", overwrite: bool = False) -> Job:
    """Have the action `action` (a key of `ACTIONS`) done to a pool that `user` may see.

    `overwrite` is for building: what is on the devices is destroyed, which is confirmed like a deletion.

    Raises:
        InvalidInput: there is no such action; ConfirmationNeeded, when `confirm` is not the pool's name.
        NotPermitted: `user` may not. Conflict: it is not possible now, and why; JobInTheWay.
    """
    chosen = find_action(action)
    check_permitted(user, pool, chosen.kind_name, "pool", str(pool.pk), pool.name)
    loses = "What is on its devices is overwritten." if overwrite else chosen.loses
    if loses and confirm != pool.name:
        title = chosen.titled(pool.name)
        raise ConfirmationNeeded(f"To {title[0].lower()}{title[1:]}, type its name.", hint=loses)
    seen = Seen.in_row(pool)
    reason = host_obstacle(pool.host)
    if not reason and not chosen.has_come_about(seen):
        reason = chosen.why_not(seen) or obstacle(chosen, pool, uses_of(pool))
    if reason:
        raise Conflict(f"{chosen.titled(pool.name)} is not possible: {reason}")
    return jobs.create(
        kind=KINDS[chosen.key],
        user=user,
        target=target_of(pool),
        label=f"{chosen.titled(pool.name)} on {pool.host.name}",
        parameters={"pool": pool.pk, **({"overwrite": True} if overwrite else {})},
        virsh=virsh_command(chosen, pool) + (" --overwrite" if overwrite else ""),
    )


def define(
    *, host: Host, spec: PoolSpec, user: User, build: bool = False, start: bool = True, autostart: bool = True
) -> Job:
    """Have a pool defined on a host that `user` may see and, as asked for, built and started.

    Raises:
        InvalidInput: what is wrong with `spec`. NotPermitted. Conflict: the name is taken, or the host is away.
    """
    name = spec.name
    ident = f"{host.pk}:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    check_permitted(user, host, DEFINE.name, "pool", ident, name)
    spec.to_xml()
    if reason := host_obstacle(host):
        raise Conflict(f"Cannot define pool {name}: {reason}")
    if Pool.objects.filter(host=host, name=name).exists():
        raise Conflict(f"{host.name} has a pool {name} already.", hint="Choose another name.")
    return jobs.create(
        kind=DEFINE,
        user=user,
        target=jobs.Target(kind="pool", id=ident, name=name, host_name=host.name),
        label=f"Define pool {name} on {host.name}",
        parameters={"host": host.pk, "spec": asdict(spec), "build": build, "start": start, "autostart": autostart},
        virsh=f"{shlex.join(['virsh', '-c', endpoint(host).uri(), 'pool-define', name + '.xml'])}",
    )


def target_of(pool: Pool) -> jobs.Target:
    """What jobs that change the pool have as their target: one at a time."""
    return jobs.Target(kind="pool", id=str(pool.pk), name=pool.name, host_name=pool.host.name)


def check_permitted(user: User, thing: Pool | Host, kind: str, target_kind: str, target_id: str, name: str) -> None:
    """Whether they may change the pool, or make one on the host. Refusals are kept. Raises NotPermitted."""
    if can(user, Permission.STORAGE, thing):
        return
    record(user=user, action=kind, target_kind=target_kind, target_id=target_id, target_name=name, refused=True)
    raise NotPermitted(f"You may not {Permission.STORAGE.label}.")


def check_sharing(*, pools: Sequence[Pool], user: User) -> Job:
    """Have it tried out whether these pools of different hosts are one storage, through the first of them.

    Raises:
        InvalidInput: fewer than two hosts, or of a type that cannot be tried. NotPermitted. Conflict: one is stopped.
    """
    first, *others = pools
    for pool in pools:
        check_permitted(user, pool, COMPARE.name, "pool", str(pool.pk), pool.name)
    if len({pool.host_id for pool in pools}) != len(pools) or not others:
        raise InvalidInput("Choose pools of at least two hosts, one of each.")
    for pool in pools:
        if pool.type not in TYPES:
            raise InvalidInput(f"{pool} is a {pool.type} pool, whose volumes vmdash cannot make.")
        reason = host_obstacle(pool.host)
        if not reason and Pool.State(pool.state) not in READABLE:
            reason = "It is not active."
        if reason:
            raise Conflict(f"Cannot try out {pool}: {reason}", hint="Leave it out, or try again later.")
    return jobs.create(
        kind=COMPARE,
        user=user,
        target=target_of(first),
        label=f"Check whether {first.name} of {len(pools)} hosts is one storage",
        parameters={"pools": [pool.pk for pool in pools]},
        virsh=f"{shlex.join(['virsh', '-c', endpoint(first.host).uri(), 'vol-create-as', first.name, 'marker', '4M'])}",
    )
