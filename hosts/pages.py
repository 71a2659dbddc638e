"""What the page of one host shows, and what the page says that removes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q

from hosts import connect
from hosts.keys import ssh_public_key
from hosts.ksm.words import ShownKsm, shown
from hosts.models import Credential, Host
from hosts.outcome import trusted_fingerprint
from hosts.selectors import HostFigures, with_figures
from vmdash.alerts.models import Alert
from vmdash.alerts.selectors import of_host
from vmdash.exceptions import InvalidInput
from vmdash.jobs.models import Job
from vmdash.jobs.told import as_told

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

NEWEST_JOBS = 8


@dataclass(frozen=True, slots=True)
class Cell:
    """A NUMA cell; `bound` are the guests with a memory policy for it."""

    number: int
    cpus: list[int]
    cpu_words: str
    """ "0-7, 16-23" """
    memory_kib: int
    distances: str
    bound: list[tuple[str, str]]
    """(uuid, name)"""


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool; `fill` is the percentage that is used, None when it is not known."""

    name: str
    type: str
    state: str
    autostart: bool
    capacity_bytes: int
    available_bytes: int
    fill: float | None


@dataclass(frozen=True, slots=True)
class HostPage:
    figures: HostFigures
    uri: str
    confirmed: str
    """The fingerprint of the SSH host key or certificate that a person confirmed."""
    cells: list[Cell]
    pools: list[Pool]
    jobs: list[Job]
    alerts: list[Alert]
    """About the host itself and its pools, without what the page says anyway."""

    @property
    def host(self) -> Host:
        return self.figures.host

    @property
    def topology(self) -> str:
        """In words: "2 sockets × 8 cores × 2 threads". libvirt tells it for one cell where all cells are alike."""
        host = self.host
        parts = [(host.sockets, "socket"), (host.cores, "core"), (host.threads, "thread")]
        if len(self.cells) > 1 and len(self.cells) * host.sockets * host.cores * host.threads == host.cpus:
            parts.insert(0, (len(self.cells), "cell"))
        return " × ".join(f"{number} {what}{'' if number == 1 else 's'}" for number, what in parts)

    @property
    def ksm(self) -> ShownKsm | None:
        return shown(self.host)

    @property
    def fast_interval_s(self) -> int:
        return self.host.fast_interval_s or settings.FAST_INTERVAL_S

    @property
    def slow_interval_s(self) -> int:
        return self.host.slow_interval_s or settings.SLOW_INTERVAL_S


@dataclass(frozen=True, slots=True)
class Losses:
    """What goes when the host's row goes."""

    guests: int
    tagged: int
    """Guests with tags, which people gave them."""


def host_page(user: User | AnonymousUser, name: str) -> HostPage | None:
    """Everything about the host of that name; None when `user` knows no such host."""
    figures = with_figures(Host.objects.visible_to(user).filter(name=name))
    if not figures:
        return None
    host = figures[0].host
    return HostPage(
        figures=figures[0],
        uri=uri_of(host),
        confirmed=trusted_fingerprint(host),
        cells=list(_cells(user, host)),
        pools=[_pool(pool) for pool in host.pools],
        jobs=recent_jobs(user, host),
        alerts=[alert for alert in of_host(user, host.name) if alert.rule != "HostUnreachable"],
    )


def uri_of(host: Host) -> str:
    """The libvirt URI, free of secrets; empty for a row that cannot be an address."""
    try:
        return connect.endpoint(host).uri()
    except InvalidInput:
        return ""


def public_key_of(host: Host) -> str:
    """The line for the host's `authorized_keys`; empty when no SSH key opens it."""
    stored = host.credential
    if stored is None or stored.kind != Credential.Kind.SSH_KEY:
        return ""
    return ssh_public_key(stored.private_key, "vmdash")


def recent_jobs(user: User | AnonymousUser, host: Host) -> list[Job]:
    """The newest jobs about the host and its guests that `user` may see."""
    about = Q(target_kind="host", target_id=str(host.pk)) | Q(host_name=host.name)
    return as_told(Job.objects.visible_to(user).filter(about)[:NEWEST_JOBS], user)


def losses(user: User | AnonymousUser, host: Host) -> Losses:
    present = host.domains.visible_to(user)
    return Losses(guests=present.count(), tagged=present.filter(tags__isnull=False).distinct().count())


def _cells(user: User | AnonymousUser, host: Host) -> Iterator[Cell]:
    bound: dict[int, list[tuple[str, str]]] = {}
    policies = host.domains.visible_to(user).exclude(numa_cells=[]).values_list("uuid", "name", "numa_cells")
    for uuid, name, numbers in policies:
        for number in numbers:
            bound.setdefault(number, []).append((str(uuid), name))
    for cell in host.cells:
        yield Cell(
            number=cell["id"],
            cpus=sorted(cell["cpus"]),
            cpu_words=ranges(cell["cpus"]),
            memory_kib=cell["memory_kib"],
            distances=" / ".join(str(distance) for distance in cell["distances"]),
            bound=bound.get(cell["id"], []),
        )


def _pool(pool: dict[str, object]) -> Pool:
    capacity, available = int(str(pool["capacity_bytes"] or 0)), int(str(pool["available_bytes"] or 0))
    return Pool(
        name=str(pool["name"]),
        type=str(pool["type"]),
        state=str(pool["state"]),
        autostart=bool(pool["autostart"]),
        capacity_bytes=capacity,
        available_bytes=available,
        fill=100 * (capacity - available) / capacity if capacity else None,
    )


def ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 3, 8] → "0-3, 8"."""
    parts: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in parts)
