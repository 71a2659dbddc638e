"""What the guests of a fleet need of a host, and which hosts offer it. Read from the inventory in a few queries.

This is about guests that start anew elsewhere after their host died. Unlike a move it needs no connection between
hosts, the same CPU or room for copies: only the architecture, networks, and storage that outlives the host.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.db.models import CharField, TextField
from django.db.models.functions import Cast

from domains.actions import host_obstacle
from domains.migration.checks import SPARE_MEMORY
from domains.models import ACTIVE_STATES, Domain, DomainQuerySet
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from storage.models import Pool

OWN = -1
"""Instead of a storage: only its host reaches it."""
UNKNOWN = 0
"""Instead of a storage: no pool covers it, so nobody knows who reaches it."""

Demand = tuple[str, str, str, frozenset[str], frozenset[int], int]
"""Driver, architecture, domain type, networks, storages, and the CPUs that a host must have (0: any will do)."""


@dataclass(frozen=True, slots=True)
class Need:
    """One guest that runs. `demand` is shared by guests that ask for the same."""

    key: str
    """Its UUID as the database writes it: ten thousand UUID objects would cost more than the query."""
    name: str
    host: int
    vcpus: int
    memory_kib: int
    demand: Demand

    @property
    def uuid(self) -> UUID:
        return UUID(self.key)


@dataclass(slots=True)
class Machine:
    """One host on paper. `given_kib` is the largest memory of all guests that are active there."""

    pk: int
    name: str
    site: str
    cpus: int
    total_kib: int
    driver: str = "qemu"
    arch: str = ""
    machine: UUID | None = None
    networks: frozenset[str] | None = None
    """Active ones; None when they are not known."""
    virtualizes: bool = True
    storages: frozenset[int] = frozenset()
    obstacle: str = ""
    """Why no guest can start there, in a sentence."""
    given_kib: int = 0
    vcpus: int = 0
    guests: int = 0
    cpu_busy: float | None = None
    """CPUs in use, by all of the host: 95 % of the hours of two weeks needed no more. With what guests need that came
    since, as far as they were measured. None where the host was not measured enough."""
    unmeasured: int = 0
    """Guests there that were not measured enough, so that `cpu_busy` may be too little."""

    def free_kib(self, ratio: float = 1.0) -> int:
        """What guests may still be given, when they may be given `ratio` times the memory; 5 % stay for the host."""
        return int(self.total_kib * (1 - SPARE_MEMORY) * ratio) - self.given_kib


@dataclass(slots=True)
class Park:
    """All hosts and what runs on them."""

    machines: dict[int, Machine]
    needs: dict[int, list[Need]]
    """By host."""
    folders: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """What pools of each host, by path and by name, are: a storage, OWN or UNKNOWN."""
    used: dict[str, float] = field(default_factory=dict)
    """CPUs that guests needed in 95 % of their hours, or on average if that is more, by their key; without those that
    were not measured enough."""
    _possible: dict[tuple[Demand, int], list[int]] = field(default_factory=dict)

    def demand_of(self, guest: Domain) -> Demand:
        """Of a guest that may be off."""
        storages = _storages(guest.disks, self.folders.get(guest.host_id, {}), self.names.get(guest.host_id, {}))
        width = _width(guest.vcpus, guest.host.cpus, _sizes(self.machines))
        return guest.host.driver, guest.arch, guest.domain_type, _networks(guest.interfaces), storages, width

    def possible(self, need: Need) -> list[int]:
        """The hosts that could take a guest, without its own; the same list for the same demands."""
        key = (need.demand, need.host)
        found = self._possible.get(key)
        if found is None:
            home = self.machines.get(need.host)
            found = self._possible[key] = [
                other.pk
                for other in self.machines.values()
                if other.pk != need.host
                and not (home and home.machine and home.machine == other.machine)
                and not why_not(need.demand, other)
            ]
        return found


def why_not(demand: Demand, machine: Machine) -> str:
    """What a host lacks for guests of this demand, as the rest of "No host …"; empty when nothing."""
    driver, arch, kind, networks, storages, width = demand
    if machine.obstacle:
        return "is ready for guests"
    if driver != machine.driver or (arch and machine.arch and arch != machine.arch):
        return f"runs {arch or 'such'} guests"
    if kind == "kvm" and not machine.virtualizes:
        return "has hardware virtualization"
    if OWN in storages:
        return "is known to reach its disks"
    if not storages - {UNKNOWN} <= machine.storages:
        return "reaches its shared storage"
    if machine.networks is not None and not networks <= machine.networks:
        return "has its networks"
    if machine.cpus and width > machine.cpus:
        return "has enough CPUs for it"
    return ""


def read_park(hosts: Iterable[Host], guests: DomainQuerySet) -> Park:
    """Of these hosts, and of the active guests among `guests`. Two queries."""
    pools = list(
        Pool.objects.filter(host__in=[host.pk for host in hosts])
        .order_by()
        .values_list("host_id", "name", "path", "storage_id", "state")
    )
    machines = {host.pk: _machine(host) for host in hosts}
    folders: dict[int, dict[str, int]] = defaultdict(dict)
    names: dict[int, dict[str, int]] = defaultdict(dict)
    reached: dict[int, set[int]] = defaultdict(set)
    for host_id, name, path, storage_id, state in pools:
        place = storage_id or OWN
        names[host_id][name] = place
        if path:
            path = path.rstrip("/")
            # Several pools under /dev/disk/by-path have one path; which a disk is of, its path does not tell.
            folders[host_id][path] = place if folders[host_id].get(path, place) == place else UNKNOWN
        if storage_id and state == Pool.State.RUNNING:
            reached[host_id].add(storage_id)
    for pk, storages in reached.items():
        machines[pk].storages = frozenset(storages)
    return Park(machines, _needs(guests, machines, folders, names), folders, names)


def _machine(host: Host) -> Machine:
    obstacle = host_obstacle(host).replace(f"Its host {host.name}", "It")
    return Machine(
        pk=host.pk,
        name=host.name,
        site=host.site.name if host.site else "",
        cpus=host.cpus,
        total_kib=host.memory_kib,
        driver=host.driver,
        arch=host.arch,
        machine=host.host_uuid,
        networks=frozenset(net["name"] for net in host.networks if net["active"]) if host.networks else None,
        virtualizes=host.hardware_virtualization is not False,
        obstacle=obstacle or maintenance_obstacle(host),
    )


def _needs(
    guests: DomainQuerySet,
    machines: Mapping[int, Machine],
    folders: Mapping[int, Mapping[str, int]],
    names: Mapping[int, Mapping[str, int]],
) -> dict[int, list[Need]]:
    found: dict[int, list[Need]] = defaultdict(list)
    demands: dict[Demand, Demand] = {}
    sizes = _sizes(machines)
    rows = guests.filter(state__in=ACTIVE_STATES, host__in=machines).order_by()
    columns = (
        Cast("uuid", CharField()), "name", "host_id", "vcpus", "max_memory_kib", "arch", "domain_type",
        Cast("disks", TextField()), Cast("interfaces", TextField()),
    )  # fmt: skip
    for key, name, host_id, vcpus, memory, arch, kind, disks, cards in rows.values_list(*columns):
        machine = machines[host_id]
        storages = _storages(orjson.loads(disks), folders.get(host_id, {}), names.get(host_id, {}))
        width = _width(vcpus, machine.cpus, sizes)
        demand: Demand = (machine.driver, arch, kind, _networks(orjson.loads(cards)), storages, width)
        demand = demands.setdefault(demand, demand)
        found[host_id].append(Need(key, name, host_id, vcpus, memory, demand))
        machine.given_kib += memory
        machine.vcpus += vcpus
        machine.guests += 1
    return found


def _sizes(machines: Mapping[int, Machine]) -> list[int]:
    """How many CPUs hosts have, the fewest first."""
    return sorted({machine.cpus for machine in machines.values() if machine.cpus})


def _width(vcpus: int, home_cpus: int, sizes: Sequence[int]) -> int:
    """How many CPUs a host must have: as many as the guest has vCPUs, or as its own host has, if those are fewer.

    Rounded up to what some host has, so that guests of different sizes share a demand; 0 where every host will do.
    """
    least = min(vcpus, home_cpus or vcpus)
    at = bisect_left(sizes, least)
    return 0 if at == 0 else sizes[at] if at < len(sizes) else least


def _networks(cards: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(card["source"] for card in cards if card.get("kind") == "network" and card.get("source"))


def _storages(
    disks: Sequence[Mapping[str, Any]], folders: Mapping[str, int], names: Mapping[str, int]
) -> frozenset[int]:
    """Where its disks and what they stand on lie. Media in drives do not count: they can be taken out."""
    places = set()
    for disk in disks:
        if disk.get("device", "disk") in ("cdrom", "floppy"):
            continue
        for path in (disk.get("source"), *(disk.get("backing") or ())):
            if path:
                places.add(_place(path, folders, names))
    return frozenset(places)


def _place(path: str, folders: Mapping[str, int], names: Mapping[str, int]) -> int:
    if not path.startswith("/"):
        return names.get(path.partition("/")[0], UNKNOWN)
    folder = posixpath.dirname(path)
    while folder not in folders:
        above = posixpath.dirname(folder)
        if above == folder:
            return UNKNOWN
        folder = above
    return folders[folder]
