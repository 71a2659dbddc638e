"""What the CPU part of a guest's page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.actions import host_obstacle
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

MOST_HOSTS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """A host on paper. `steal` is predicted, percent of the guest's vCPUs' time; None where too little is known."""

    host: Host
    is_here: bool
    now: float | None
    """What the guests of the host lose there now, percent of their vCPUs' time."""
    steal: float | None
    obstacle: str
    may_move: bool = False
    """Whether this person may move guests there."""


@dataclass(frozen=True, slots=True)
class CpuPart:
    loss: Loss | None
    places: Sequence[Place]
    """Here first, then the best."""
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
    hosts = list(Host.objects.visible_to(user).filter(enabled=True).order_by("name")[:MOST_HOSTS])
    wanted, unavailable = _demand(guest, hosts)
    ticks = cache.ticks(host.pk for host in hosts)
    open_to = set(Host.objects.open_to(user, Permission.MIGRATE).values_list("pk", flat=True))
    places = [_place(guest, host, wanted, ticks.get(host.pk), may_move=host.pk in open_to) for host in hosts]
    places.sort(key=lambda place: (not place.is_here, place.steal is None, place.steal or 0.0, place.host.name))
    return CpuPart(
        loss=loss_of(user, guest, tick),
        places=places,
        unavailable=unavailable,
        may_move=can(user, Permission.MIGRATE, guest),
    )


def _demand(guest: Domain, hosts: Sequence[Host]) -> tuple[Demand | None, str]:
    if not guest.is_active:
        return None, "It is off: what it would want is not known."
    try:
        return demand(guest, hosts), ""
    except Unavailable as error:
        return None, error.message


def _place(guest: Domain, host: Host, wanted: Demand | None, tick: Tick | None, *, may_move: bool) -> Place:
    is_here = host.pk == guest.host_id
    steal = None
    if wanted is not None and host.cpus:
        others = wanted.hosts[host.pk]
        if is_here:  # it is among them already
            others = [
                None if rest is None or own is None else max(0.0, rest - own)
                for rest, own in zip(others, wanted.guest, strict=True)
            ]
        steal = steal_there(wanted.guest, others, host.cpus, guest.vcpus)
    obstacle = "" if is_here else host_obstacle(host) or maintenance_obstacle(host)
    return Place(host, is_here, tick["sample"]["steal"] if tick else None, steal, obstacle, may_move)
