"""Everything that can be done to a storage pool, and what of it is possible for whom at this moment.

Needed by pages and workers alike, so nothing here talks to a host. `pool_jobs` makes job kinds of the table,
`pool_services` asks for them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hosts.connect import endpoint
from hosts.models import Host
from storage.chains import Chains, hosts_that_see
from storage.models import Pool
from storage.places import Places
from storage.uses import DiskUse
from vmdash.access.roles import Permission, can
from vmdash.virt.xml.pool_types import POOL_TYPES

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

_S = Pool.State
STATE_WORDS = {
    _S.INACTIVE: "is stopped",
    _S.BUILDING: "is being built",
    _S.RUNNING: "is active",
    _S.DEGRADED: "is degraded",
    _S.INACCESSIBLE: "cannot be reached by its host",
}
STOPPED = frozenset({_S.INACTIVE, _S.INACCESSIBLE})
ACTIVE = frozenset(_S) - STOPPED
_ANY = frozenset(_S)
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides about actions: of the row (what the survey saw last), or of the pool itself."""

    state: Pool.State
    persistent: bool
    autostart: bool

    @classmethod
    def in_row(cls, pool: Pool) -> Seen:
        return cls(Pool.State(pool.state), pool.persistent, pool.autostart)


@dataclass(frozen=True, slots=True)
class PoolAction:
    """One thing that can be done to a pool. `{name}` in a text stands for the pool's name."""

    key: str
    label: str
    title: str
    possible_in: frozenset[Pool.State]
    virsh: tuple[str, ...]
    instead: str = ""
    """What to do first, in the other states."""
    goal: Callable[[Seen], bool] | None = None
    """Whether it has come about; None when the pool's state does not tell."""
    already: str = ""
    gone_is_goal: bool = False
    needs_definition: bool = False
    frees: bool = False
    """Guests that run must not use its volumes."""
    loses: str = ""
    """What it destroys, in words. Not empty: a person confirms by typing the pool's name."""
    only_types: frozenset[str] | None = None

    @property
    def kind_name(self) -> str:
        return f"pool.{self.key}"

    def titled(self, name: str) -> str:
        return self.title.format(name=name)

    def why_not(self, seen: Seen) -> str:
        """Why a pool that is like this does not allow it, in a sentence or two; empty when it does."""
        if seen.state not in self.possible_in:
            return f"It {STATE_WORDS[seen.state]}. {self.instead}".rstrip()
        if self.needs_definition and not seen.persistent:
            return "It is transient: its host keeps no definition of it."
        return ""

    def has_come_about(self, seen: Seen) -> bool:
        return self.goal is not None and self.goal(seen)


ACTIONS: dict[str, PoolAction] = {
    action.key: action
    for action in (
        PoolAction(
            key="start",
            label="Start",
            title="Start pool {name}",
            possible_in=STOPPED,
            virsh=("pool-start",),
            goal=lambda seen: seen.state in ACTIVE,
            already="It is active already.",
        ),
        PoolAction(
            key="refresh",
            label="Refresh",
            title="Refresh pool {name}",
            possible_in=ACTIVE,
            instead="Start it first.",
            virsh=("pool-refresh",),
        ),
        PoolAction(
            key="stop",
            label="Stop",
            title="Stop pool {name}",
            possible_in=ACTIVE,
            virsh=("pool-destroy",),
            goal=lambda seen: seen.state in STOPPED,
            already="It is stopped already.",
            gone_is_goal=True,
            frees=True,
        ),
        PoolAction(
            key="autostart_on",
            label="Switch on autostart",
            title="Switch on autostart of pool {name}",
            possible_in=_ANY,
            virsh=("pool-autostart",),
            needs_definition=True,
            goal=lambda seen: seen.autostart,
            already="It starts with its host already.",
        ),
        PoolAction(
            key="autostart_off",
            label="Switch off autostart",
            title="Switch off autostart of pool {name}",
            possible_in=_ANY,
            virsh=("pool-autostart", "--disable"),
            needs_definition=True,
            goal=lambda seen: not seen.autostart,
            already="It does not start with its host.",
        ),
        PoolAction(
            key="build",
            label="Build",
            title="Build pool {name}",
            possible_in=STOPPED,
            instead="Stop it first.",
            virsh=("pool-build",),
            only_types=frozenset(kind.key for kind in POOL_TYPES.values() if kind.builds),
        ),
        PoolAction(
            key="undefine",
            label="Undefine",
            title="Undefine pool {name}",
            possible_in=STOPPED,
            instead="Stop it first.",
            virsh=("pool-undefine",),
            gone_is_goal=True,
            needs_definition=True,
            frees=True,
            loses="Its host forgets the pool. What it is made of, and the volumes in it, stay where they are.",
        ),
        PoolAction(
            key="delete",
            label="Delete its storage",
            title="Delete the storage of pool {name}",
            possible_in=STOPPED,
            instead="Stop it first.",
            virsh=("pool-delete",),
            frees=True,
            loses="What the pool is made of is deleted: the empty folder, the volume group or zpool with all in it.",
            only_types=frozenset(kind.key for kind in POOL_TYPES.values() if kind.deletes),
        ),
    )
}
"""By key, in the order in which pages list them."""


@dataclass(frozen=True, slots=True)
class ActionChoice:
    """One action as a page offers it; `reason` is why it is not possible now, empty when it is."""

    action: PoolAction
    reason: str

    @property
    def possible(self) -> bool:
        return not self.reason


def possible(pool: Pool, user: User | AnonymousUser) -> list[ActionChoice]:
    """Every action that pools of its type know, in the order of the table. Needs `pool.host`."""
    uses = uses_of(pool)
    return [
        ActionChoice(action, why_not(action, pool, user, uses))
        for action in ACTIONS.values()
        if action.only_types is None or pool.type in action.only_types
    ]


def why_not(action: PoolAction, pool: Pool, user: User | AnonymousUser, uses: Iterable[DiskUse]) -> str:
    """Why `user` cannot do this to the pool now, as far as vmdash knows; empty when nothing is in the way."""
    if not can(user, Permission.STORAGE, pool):
        return f"You may not {Permission.STORAGE.label}."
    seen = Seen.in_row(pool)
    if reason := host_obstacle(pool.host):
        return reason
    if action.has_come_about(seen):
        return action.already
    return action.why_not(seen) or obstacle(action, pool, uses)


def obstacle(action: PoolAction, pool: Pool, uses: Iterable[DiskUse]) -> str:
    """What is in the way whatever state the pool is in."""
    if action.only_types is not None and pool.type not in action.only_types:
        return f"Pools of the type {pool.type} do not offer it."
    guests = list(dict.fromkeys(use.name for use in uses if use.active)) if action.frees else []
    if guests:
        more = f" and {len(guests) - _NAMED} more" if len(guests) > _NAMED else ""
        verb = "runs" if len(guests) == 1 else "run"
        return (
            f"Disks of guests that run are in it: {', '.join(guests[:_NAMED])}{more} {verb}. Shut down or move first."
        )
    if action.key == "delete" and pool.type in ("dir", "fs", "netfs") and (count := pool.volumes.count()):
        return f"It still has {count} volume{'' if count == 1 else 's'}. Delete them first."
    return ""


def host_obstacle(host: Host) -> str:
    """Why nothing can be asked of the host now, as the collector sees it."""
    if not host.enabled:
        return f"Its host {host.name} is disabled."
    if host.state != Host.State.UP:
        return f"Its host {host.name} is {Host.State(host.state).label}."
    return ""


def uses_of(pool: Pool) -> list[DiskUse]:
    """The guests of its host whose disks, or what these lie on, are in the pool."""
    places = Places([pool.host_id])
    chains = Chains(hosts_that_see(pool) if pool.storage_id else [pool.host_id])
    inside = {places.of(pool.host_id, volume.path) for volume in pool.volumes.only("path", "pool")}
    folder = pool.path.rstrip("/") + "/" if pool.path and not pool.path.startswith("/dev") else ""
    found: dict[tuple[str, str], DiskUse] = {}
    for image in chains.images():
        if image.place in inside or (folder and image.path.startswith(folder)):
            for one in (image, *image.above()):
                found |= {(use.guest, use.target): use for use in one.users if use.host_id == pool.host_id}
    return list(found.values())


def virsh_command(action: PoolAction, pool: Pool) -> str:
    """For a shell. virsh takes a dash for an option: then the UUID stands for the name."""
    verb, *options = action.virsh
    name = str(pool.uuid) if pool.name.startswith("-") else pool.name
    return shlex.join(["virsh", "-c", endpoint(pool.host).uri(), verb, name, *options])
