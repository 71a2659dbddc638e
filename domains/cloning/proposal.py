"""What cloning a guest as wished would make, cost and be hindered by, as far as is known without asking a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

from domains.actions import host_obstacle
from domains.cloning import names
from domains.cloning.plan import DiskPlan, Fate, definition_of, disks_of
from domains.models import Domain
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from storage.copying import FILE_POOLS
from storage.models import Pool, Volume
from vmdash import formats
from vmdash.exceptions import Conflict

MAKE_A_TEMPLATE = (
    "Linked clones stand on the disks of their source, so nobody may write to these any more: only a template can be "
    "the source. Make {name} a template (it then never starts), or make a full clone and a template of that."
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. `pools` are names on `host`, by disk; `pool` is for those that it does not name."""

    names: Sequence[str]
    host: Host
    linked: bool = False
    pool: str = ""
    pools: Mapping[str, str] = field(default_factory=dict)
    start: bool = False
    macs: Sequence[str] = ()
    """Those that the person was shown; others are chosen where one is taken meanwhile."""
    at_once: int = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a disk of each clone goes, and as what."""

    plan: DiskPlan
    pool: Pool | None
    format: str
    example: str = ""
    """How the volume of the first clone is called."""

    @property
    def target(self) -> str:
        return self.plan.target


@dataclass(frozen=True)
class Proposal:
    """`domain` has its host selected along."""

    domain: Domain
    wish: Wish

    @cached_property
    def disks(self) -> list[DiskPlan]:
        return disks_of(self.domain)

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """The pools of the target host by name."""
        return {pool.name: pool for pool in Pool.objects.filter(host=self.wish.host).select_related("storage")}

    @cached_property
    def places(self) -> list[Place]:
        """For each disk that is copied or overlaid."""
        return [self._place(plan) for plan in self.disks if plan.is_copied]

    def _place(self, plan: DiskPlan) -> Place:
        named = self._named_pool(plan)
        pool = self.pools.get(named) if named else self._usual_pool(plan)
        place = Place(plan, pool, self._format(plan, pool))
        return replace(place, example=self.volume_name(self.wish.names[0], place))

    def _named_pool(self, plan: DiskPlan) -> str:
        return self.wish.pools.get(plan.target) or self.wish.pool

    def _usual_pool(self, plan: DiskPlan) -> Pool | None:
        """Where the source has it, if the target host has a pool of that name; else wherever there is most room."""
        if plan.volume and (same := self.pools.get(plan.volume.pool.name)):
            return same
        active = [pool for pool in self.pools.values() if pool.state == Pool.State.RUNNING]
        return max(active, key=lambda pool: pool.available_bytes, default=None)

    def _format(self, plan: DiskPlan, pool: Pool | None) -> str:
        if pool is not None and pool.type not in FILE_POOLS:
            return "raw"
        if self.wish.linked:
            return "qcow2"
        return plan.disk.format if plan.disk.format in ("qcow2", "raw") else "qcow2"

    @property
    def to_another_host(self) -> bool:
        return self.wish.host.pk != self.domain.host_id

    @property
    def runs(self) -> bool:
        return self.domain.is_active

    @property
    def copied_bytes(self) -> int:
        """By one clone."""
        return 0 if self.wish.linked else sum(_content_bytes(place.plan.volume) for place in self.places)

    @cached_property
    def needed_bytes(self) -> dict[str, int]:
        """By pool, for all clones."""
        needed: dict[str, int] = {}
        for place in self.places:
            if place.pool is not None and not self.wish.linked:
                volume = place.plan.volume
                files = place.pool.type in FILE_POOLS
                one = _content_bytes(volume) if files else volume.capacity_bytes if volume else 0
                needed[place.pool.name] = needed.get(place.pool.name, 0) + one * len(self.wish.names)
        return needed

    @cached_property
    def macs(self) -> list[list[str]]:
        """For each clone one address per interface."""
        definition = definition_of(self.domain)
        each = len(definition.interfaces) if definition else 0
        flat = names.new_macs(each * len(self.wish.names), self.wish.macs)
        return (
            [flat[start : start + each] for start in range(0, len(flat), each)] if each else [[]] * len(self.wish.names)
        )

    @cached_property
    def _alone(self) -> bool:
        return sum(plan.is_copied for plan in self.disks) == 1

    @property
    def named_macs(self) -> list[tuple[str, list[str]]]:
        return list(zip(self.wish.names, self.macs, strict=True))

    @property
    def room(self) -> list[tuple[str, int, int]]:
        """For each pool that clones go to: its name, the bytes needed, the bytes free."""
        chosen = {place.pool.name: place.pool for place in self.places if place.pool}
        return [(name, self.needed_bytes.get(name, 0), pool.available_bytes) for name, pool in chosen.items()]

    def volume_name(self, clone: str, place: Place) -> str:
        has_files = place.pool is None or place.pool.type in FILE_POOLS
        return names.volume_name(clone, place.target, place.format if has_files else "", alone=self._alone)

    @cached_property
    def obstacles(self) -> list[str]:
        """Why it cannot be done, in sentences; empty when nothing is known to be in the way."""
        return list(dict.fromkeys(self._obstacles()))

    def _obstacles(self) -> Iterator[str]:
        domain, host = self.domain, self.wish.host
        for one in (domain.host, host):
            if reason := host_obstacle(one):
                yield reason if one.pk == domain.host_id else reason.replace("Its host", "The host")
        if reason := maintenance_obstacle(host):
            yield reason
        if domain.split_brain:
            yield "It is active on two hosts at once, so nobody knows what its disks hold."
        if not domain.xml:
            yield "Its definition has not been read yet."
        if domain.has_managed_save:
            yield "It has a saved state: its disks are as in the middle of its work. Restore it, or discard that state."
        if self.wish.linked and not domain.is_template:
            yield MAKE_A_TEMPLATE.format(name=domain.name)
        yield from self._obstacles_of_disks()
        yield from self._obstacles_of_target()

    def _obstacles_of_disks(self) -> Iterator[str]:
        for plan in self.disks:
            if plan.fate is Fate.REFUSE:
                yield f"Its disk {plan.target} cannot be copied: it {plan.why}."
        for place in self.places:
            volume, pool = place.plan.volume, place.pool
            if volume is None:
                yield (
                    f"Its disk {place.target} ({place.plan.disk.source}) is in no storage pool of "
                    f"{self.domain.host.name} that has been read. Define a pool for that place, or start the one there "
                    "is."
                )
            elif self.runs and not self.wish.linked and volume.kind != "file":
                yield (
                    f"It is active, and its disk {place.target} is no file: what it writes meanwhile would have no "
                    "place. Shut it down first."
                )
            if pool is None:
                named = self._named_pool(place.plan)
                yield f"{self.wish.host.name} has no {f'storage pool {named}' if named else 'active storage pool'}."
            elif pool.state != Pool.State.RUNNING:
                yield f"The pool {pool.name} on {self.wish.host.name} is {pool.get_state_display()}. Start it."
            elif self.wish.linked:
                yield from self._obstacles_of_link(place, pool)

    def _obstacles_of_link(self, place: Place, pool: Pool) -> Iterator[str]:
        if pool.type not in FILE_POOLS:
            yield f"The pool {pool.name} has no files, so no overlay can lie there."
        volume = place.plan.volume
        if self.to_another_host and volume and not volume.pool.storage_id:
            yield (
                f"{self.wish.host.name} does not reach {volume.path} on {self.domain.host.name}: a linked clone must "
                "be where its source's disks are."
            )

    def _obstacles_of_target(self) -> Iterator[str]:
        domain, host, wished = self.domain, self.wish.host, list(self.wish.names)
        if len(set(wished)) < len(wished):
            yield "Two clones would have the same name."
        taken = Domain.objects.present().filter(host=host, name__in=wished).order_by("name")
        for name in taken.values_list("name", flat=True):
            yield f"{host.name} has a guest {name} already."
        for place in self.places:
            volumes = [self.volume_name(name, place) for name in wished]
            for name in Volume.objects.filter(pool=place.pool, name__in=volumes).values_list("name", flat=True):
                yield f"The pool {place.pool.name if place.pool else ''} has a volume {name} already."
        for pool_name, needed in self.needed_bytes.items():
            free = self.pools[pool_name].available_bytes
            if needed > free:
                yield (f"The pool {pool_name} has {formats.size(free)} free, and {formats.size(needed)} are needed.")
        if self.to_another_host:
            if host.driver != domain.host.driver or (domain.arch and host.arch and host.arch != domain.arch):
                yield f"{host.name} cannot run it: it has another hypervisor or architecture."
            yield from self._missing_networks()

    def _missing_networks(self) -> Iterator[str]:
        there = {network["name"] for network in self.wish.host.networks}
        for interface in self.domain.interfaces:
            if interface.get("kind") == "network" and interface["source"] not in there:
                yield f"{self.wish.host.name} has no network {interface['source']}. Define one of that name there."

    @cached_property
    def notes(self) -> list[str]:
        """What a person should know before, in sentences."""
        return list(self._notes())

    def _notes(self) -> Iterator[str]:
        name = self.domain.name
        if self.wish.linked:
            yield (
                f"Each clone begins as an empty overlay on the disks of {name}, and reads from them what it has not "
                f"written itself. {name} can neither be deleted nor start while such clones exist."
            )
        elif self.runs and self.places:
            yield (
                f"{name} goes on meanwhile: what it writes goes to overlays beside its disks, which are merged back "
                "when the copy is through. Its disks are then the same files as before."
            )
            if self.domain.agent == Domain.Agent.CONNECTED:
                yield "Its guest agent freezes the file systems for that moment, so the copy is a clean one."
            else:
                yield (
                    "Its guest agent does not answer, so its file systems cannot be frozen: the clone finds its disks "
                    "as after a power failure."
                )
        elif self.places and not self.domain.is_template:
            yield f"{name} is off, and cannot start until its disks are copied."
        for plan in self.disks:
            if plan.fate is Fate.SHARE:
                yield f"{plan.target} {plan.why}."
        definition = definition_of(self.domain)
        if definition and definition.host_devices:
            yield "It has devices of its host, which only one guest can use at a time: the source or one of the clones."
        if self.wish.start and definition and not definition.interfaces:
            return
        if self.wish.start:
            yield "What is set inside the guest, such as a fixed address or a host name, is the source's at first."

    def check(self) -> None:
        """Raises Conflict with the obstacles."""
        if self.obstacles:
            raise Conflict(f"Cannot clone {self.domain.name}: {' '.join(self.obstacles)}")

    def parameters(self) -> dict[str, Any]:
        """What the job is told: everything that is decided, before anything is made."""
        return {
            "linked": self.wish.linked,
            "start": self.wish.start,
            "source_host": self.domain.host_id,
            "host": self.wish.host.pk,
            "target_name": self.wish.host.name,
            "disks": {
                place.target: {"pool": place.pool.name, "format": place.format} for place in self.places if place.pool
            },
            "clones": [
                {
                    "name": name,
                    "uuid": str(uuid4()),
                    "macs": macs,
                    "volumes": {place.target: self.volume_name(name, place) for place in self.places},
                }
                for name, macs in zip(self.wish.names, self.macs, strict=True)
            ],
        }


def _content_bytes(volume: Volume | None) -> int:
    """What a volume and those below it hold."""
    total, seen = 0, set[int]()
    while volume is not None and volume.pk not in seen:
        seen.add(volume.pk)
        total += volume.allocation_bytes
        below = Volume.objects.filter(pool__host=volume.pool.host_id, path=volume.backing_path)
        volume = below.select_related("pool").first() if volume.backing_path else None
    return total
