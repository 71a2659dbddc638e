"""Why a guest is slow: each cause in a sentence, with the figure behind it and what to do.

Steal and placement are told apart from the rest, since they are what vmdash knows and others do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from domains.copies_beside import copies_beside
from domains.disk_limits import DiskLimit, limits_reached
from domains.models import Domain
from domains.numa.selectors import finding_of
from domains.steal.takers import loss_of
from domains.trouble import Trouble
from vmdash import formats
from vmdash.access.roles import Permission, can
from vmdash.jobs.models import Job
from vmdash.jobs.told import as_told
from vmdash.live.messages import GuestSample, HostSample, Tick

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

SLOW_STEAL_PERCENT = 10.0
"""A guest that loses this share of its CPU time is slow, and people notice."""
CPU_FULL_PERCENT = 95.0
SWAPS_BYTES_PER_S = 256 * 1024
MEMORY_FULL_PERCENT = 95.0
SQUEEZED = 0.8
"""A guest whose balloon leaves it less than this part of what it may have is squeezed, if it needs more."""
SLOW_DISK_MS = 50.0
FEW_REQUESTS_PER_S = 1.0
"""With fewer, the time that a request takes says nothing."""
DROPS_PER_S = 1.0
HOST_MEMORY_FULL_PERCENT = 95.0

FELT_JOBS = (
    "domain.migrate",
    "domain.clone",
    "snapshot.create",
    "snapshot.revert",
    "snapshot.delete",
    "snapshot.merge",
)
"""Kinds of jobs that a guest feels."""


def causes(user: User | AnonymousUser, guest: Domain, sample: GuestSample, tick: Tick) -> Iterator[Trouble]:
    """Of a guest that runs, by fresh figures; the worst first. Needs `guest.host`. At most three queries, and one
    request to the history store where its disks may be held at limits."""
    steal, network, limits = (
        list(_steal(user, guest, sample, tick)),
        list(_network(sample)),
        limits_reached(guest, sample),
    )
    slow_disks = [] if _hold_all(limits, guest) else list(_slow_disks(sample))
    _say_copies(user, guest, slow_disks or network or steal)
    yield from steal
    if finding := finding_of(guest, tick):
        yield Trouble("warn", finding.headline, f"{finding.advice} The CPU part of this page can put that right.")
    yield from _own_cpu(guest, sample)
    yield from _memory(guest, sample)
    for limit in limits:
        yield Trouble("warn", f"{limit.words}.", "Whoever set that limit can raise it.")
    yield from slow_disks
    yield from network
    if can(user, Permission.VIEW, guest.host):
        yield from _host(guest, tick["sample"])
    yield from _jobs(user, guest)


def _say_copies(user: User | AnonymousUser, guest: Domain, felt: list[Trouble]) -> None:
    """Beside the first of what is felt, so that it is said once."""
    if felt and (words := copies_beside(user, guest)):
        felt[0] = replace(felt[0], advice=f"{felt[0].advice} {words}")


def _steal(user: User | AnonymousUser, guest: Domain, sample: GuestSample, tick: Tick) -> Iterator[Trouble]:
    if sample["steal"] is None or sample["steal"] < SLOW_STEAL_PERCENT:
        return
    loss = loss_of(user, guest, tick)
    lost = loss.sentence if loss else f"loses {formats.percent(sample['steal'])} of its CPU time to its neighbours"
    worst = sample["steal_max"]
    of_worst = f" Its worst vCPU loses {formats.percent(worst)}." if worst and worst > sample["steal"] + 1 else ""
    sure = f" {loss.confidence}" if loss else ""
    yield Trouble(
        "bad",
        f"Slow because it {lost}.",
        f"Its vCPUs were ready to run but had to wait for a physical CPU of {guest.host.name}.{of_worst}{sure} "
        "The CPU part of this page says where it would be better off.",
    )


def _own_cpu(guest: Domain, sample: GuestSample) -> Iterator[Trouble]:
    if sample["cpu"] is not None and sample["cpu"] >= CPU_FULL_PERCENT:
        vcpus = f"all of its {guest.vcpus} vCPUs" if guest.vcpus > 1 else "all of its vCPU"
        more = (
            f"It may have up to {guest.max_vcpus}: give it more, if what it does deserves that."
            if guest.max_vcpus > guest.vcpus
            else "Look inside what takes it; more vCPUs need a change of its definition."
        )
        yield Trouble("warn", f"It uses {vcpus} ({formats.percent(sample['cpu'])}).", more)


def _memory(guest: Domain, sample: GuestSample) -> Iterator[Trouble]:
    swap, used = sample.get("swap"), _memory_used(guest, sample)
    swaps = swap is not None and swap >= SWAPS_BYTES_PER_S
    if not swaps and (used is None or used < MEMORY_FULL_PERCENT):
        return
    tone, has, most = "bad" if swaps else "warn", formats.kib(guest.memory_kib), formats.kib(guest.max_memory_kib)
    if guest.memory_kib < SQUEEZED * guest.max_memory_kib:
        sign = f"It swaps {formats.size(swap)} a second." if swaps else f"It uses {formats.percent(used)} of that."
        yield Trouble(
            tone,
            f"Its balloon is squeezed: it has {has} of {most}.",
            f"{sign} Give it more, if its host has that: Tune… does it while it runs.",
        )
        return
    more = (
        f"It has {has} of at most {most}: give it more."
        if guest.max_memory_kib > guest.memory_kib
        else f"It has {has}, which is all it may have: more needs a change of its definition."
    )
    if swaps:
        yield Trouble(tone, f"It swaps {formats.size(swap)} a second: its memory is too small for what it does.", more)
    else:
        yield Trouble(tone, f"It uses {formats.percent(used)} of its memory.", f"Soon it will swap. {more}")


def _memory_used(guest: Domain, sample: GuestSample) -> float | None:
    """Percent of what it has."""
    return 100 * sample["mem"] / guest.memory_kib if sample["mem"] is not None and guest.memory_kib else None


def _hold_all(limits: Iterable[DiskLimit], guest: Domain) -> bool:
    """Whether no disk is left that may be slow for another reason."""
    disks = {disk["target"] for disk in guest.disks if disk["device"] not in ("cdrom", "floppy")}
    return bool(limits) and disks <= {target for limit in limits for target in limit.disks}


def _slow_disks(sample: GuestSample) -> Iterator[Trouble]:
    latency, requests = sample.get("lat"), sample.get("ops")
    if latency is not None and latency >= SLOW_DISK_MS and (requests or 0) >= FEW_REQUESTS_PER_S:
        yield Trouble(
            "warn",
            f"A request to its disks takes {latency:.0f} ms.",
            f"There are {requests:.0f} a second. Look at the storage of its pool, and what else uses it.",
        )


def _network(sample: GuestSample) -> Iterator[Trouble]:
    drops = sample.get("drop")
    if drops is not None and drops >= DROPS_PER_S:
        yield Trouble(
            "warn",
            f"Its network cards lose {drops:.0f} packets a second.",
            "It does not take them fast enough, or the host's queue is full. More vCPUs or queues may help.",
        )


def _host(guest: Domain, sample: HostSample) -> Iterator[Trouble]:
    if sample["mem"] is not None and sample["mem_total"]:
        used = 100 * sample["mem"] / sample["mem_total"]
        if used >= HOST_MEMORY_FULL_PERCENT:
            yield Trouble(
                "warn",
                f"{guest.host.name} has {formats.percent(used)} of its memory in use.",
                "What the host swaps is slow for its guests. Move some away.",
            )


def _jobs(user: User | AnonymousUser, guest: Domain) -> Iterator[Trouble]:
    """Those that others have asked for are told without their page."""
    running = Job.objects.filter(target_id=str(guest.pk), state=Job.State.RUNNING, kind__in=FELT_JOBS)
    for job in as_told(running[:3], user):
        yield Trouble(
            "warn", f"A job is at work on it: {job.label}.", "Until it ends that takes from its disks and network."
        )
