"""What the CPU part of a guest's page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from domains.actions import host_obstacle
from domains.figures import is_fresh
from domains.memory import free_kib, too_little_memory
from domains.models import Domain
from domains.steal.prediction import Demand, demand, steal_there
from domains.steal.takers import Loss, loss_of
from hosts.maintenance import maintenance_obstacle
from hosts.models import Host
from vmdash.access.roles import Permission, can
from vmdash.exceptions import Unavailable
from vmdash.live import cache
from vmdash.live.messages import Tick

if TYPE_CHECKING:
    from vmdash.access.models import User

MOST_PLACES = 30
"""So many are shown. All are looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host on paper. `steal` is predicted, percent of the guest's vCPUs' time; None where too little is known."""

    host: Host
    is_here: bool
    now: float | None
    """What the guests of the host lose there now, percent of their vCPUs' time; None where that is not known, or not
    for this person."""
    steal: float | None
    obstacle: str
    may_move: bool = False
    """Whether this person may move guests there."""


@dataclass(frozen=True, slots=True)
class CpuPart:
    loss: Loss | None
    places: Sequence[Place]
    """Here first, then the best. Empty when nothing is predicted."""
    more: int
    """Hosts that are not among them."""
    unavailable: str
    """Why nothing is predicted."""
    may_move: bool

    @property
    def better(self) -> Place | None:
        """The best place, if it is clearly better than here."""
        here = next((place for place in self.places if place.is_here), None)
        there = [place for place in self.places if not place.is_here and place.steal is not None and not place.obstacle]
        if here is None or here.steal is None or not there:
            return None
        best = min(there, key=lambda place: place.steal or 0.0)
        return best if (best.steal or 0.0) < here.steal - 2 else None


def cpu_part(guest: Domain, user: User, tick: Tick | None) -> CpuPart:
    hosts = _hosts(guest, user)
    wanted, unavailable = _demand(guest, hosts)
    places = _places(guest, user, hosts, wanted) if wanted else []
    return CpuPart(
        loss=loss_of(user, guest, tick),
        places=places[:MOST_PLACES],
        more=max(0, len(places) - MOST_PLACES),
        unavailable=unavailable,
        may_move=can(user, Permission.MIGRATE, guest),
    )


def _hosts(guest: Domain, user: User) -> list[Host]:
    """Its own, even if this person may not see it, and those they see that have its hypervisor and architecture. A
    machine that is in the list twice is no other place."""
    here = guest.host
    alike = Q(enabled=True, driver=here.driver)
    if here.arch:
        alike &= Q(arch__in=("", here.arch))
    if here.host_uuid:
        alike &= ~Q(host_uuid=here.host_uuid)
    others = Host.objects.visible_to(user).filter(alike).exclude(pk=here.pk)
    return [here, *others.only("name", "enabled", "maintenance", "state", "cpus")]


def _places(guest: Domain, user: User, hosts: Sequence[Host], wanted: Demand) -> list[Place]:
    """Of all hosts: here first, then those where nothing is in the way, by what the guest would lose."""
    may_see_here = can(user, Permission.VIEW, guest.host)
    ticks = cache.ticks(host.pk for host in hosts if host.pk != guest.host_id or may_see_here)
    open_to = set(Host.objects.open_to(user, Permission.MIGRATE).values_list("pk", flat=True))
    places = [_place(guest, host, wanted, ticks.get(host.pk), may_move=host.pk in open_to) for host in hosts]
    return sorted(places, key=_rank)


def _rank(place: Place) -> tuple[bool, bool, bool, float, str]:
    return not place.is_here, bool(place.obstacle), place.steal is None, place.steal or 0.0, place.host.name


def _demand(guest: Domain, hosts: Sequence[Host]) -> tuple[Demand | None, str]:
    if not guest.is_active:
        return None, "It is off: what it would want is not known."
    try:
        return demand(guest, hosts), ""
    except Unavailable as error:
        return None, error.message


def _place(guest: Domain, host: Host, wanted: Demand, tick: Tick | None, *, may_move: bool) -> Place:
    is_here = host.pk == guest.host_id
    steal = None
    if host.cpus:
        others = wanted.hosts[host.pk]
        if is_here:  # it is among them already
            others = [
                None if rest is None or own is None else max(0.0, rest - own)
                for rest, own in zip(others, wanted.guest, strict=True)
            ]
        steal = steal_there(wanted.guest, others, host.cpus, guest.vcpus)
    obstacle = "" if is_here else _obstacle(guest, host, tick)
    return Place(host, is_here, tick["sample"]["steal"] if tick else None, steal, obstacle, may_move)


def _obstacle(guest: Domain, host: Host, tick: Tick | None) -> str:
    """Why it cannot go there, in a sentence. Memory that is not known is not in the way."""
    if reason := host_obstacle(host, host.name) or maintenance_obstacle(host):
        return reason
    left = free_kib(tick["sample"]) if tick and is_fresh(tick) else None
    return too_little_memory(host, left, guest) if left is not None and guest.max_memory_kib > left else ""
