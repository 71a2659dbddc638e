"""Why a guest is slow: each cause in a sentence, with the figure behind it and what to do.

Steal and placement are told apart from the rest, since they are what vmdash knows and others do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from domains.models import Domain
from domains.numa.selectors import finding_of
from domains.steal.takers import loss_of
from domains.trouble import Trouble
from vmdash import formats
from vmdash.access.roles import Permission, can
from vmdash.jobs.models import Job
from vmdash.live.messages import GuestSample, HostSample, Tick
from vmdash.virt.xml.throttle import Throttle, throttles

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

SLOW_STEAL_PERCENT = 10.0
"""A guest that loses this share of its CPU time is slow, and people notice."""
CPU_FULL_PERCENT = 95.0
SWAPS_BYTES_PER_S = 256 * 1024
MEMORY_FULL_PERCENT = 95.0
SLOW_DISK_MS = 50.0
FEW_REQUESTS_PER_S = 1.0
"""With fewer, the time that a request takes says nothing."""
AT_LIMIT = 0.9
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
    """Of a guest that runs, by fresh figures; the worst first. Needs `guest.host`. At most two queries."""
    yield from _steal(user, guest, sample, tick)
    if finding := finding_of(guest, tick):
        yield Trouble("warn", finding.headline, f"{finding.advice} The CPU part of this page can put that right.")
    yield from _own_cpu(guest, sample)
    yield from _memory(guest, sample)
    yield from _disks(guest, sample)
    yield from _network(sample)
    if can(user, Permission.VIEW, guest.host):
        yield from _host(guest, tick["sample"])
    yield from _jobs(user, guest)


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
    more = (
        f"It has {formats.kib(guest.memory_kib)} of at most {formats.kib(guest.max_memory_kib)}: give it more."
        if guest.max_memory_kib > guest.memory_kib
        else f"It has {formats.kib(guest.memory_kib)}, which is all it may have: more needs a change of its definition."
    )
    swap = sample.get("swap")
    if swap is not None and swap >= SWAPS_BYTES_PER_S:
        yield Trouble("bad", f"It swaps {formats.size(swap)} a second: its memory is too small for what it does.", more)
    elif sample["mem"] is not None and guest.memory_kib:
        used = 100 * sample["mem"] / guest.memory_kib
        if used >= MEMORY_FULL_PERCENT:
            yield Trouble("warn", f"It uses {formats.percent(used)} of its memory.", f"Soon it will swap. {more}")


def _disks(guest: Domain, sample: GuestSample) -> Iterator[Trouble]:
    limited = list(_limits_reached(guest, sample))
    for limit in limited:
        value = formats.size(round(limit.value)) if limit.is_bytes else f"{limit.value:g} requests"
        headline = f"Its disks are held at the {limit.words}, {value} a second."
        yield Trouble("warn", headline, "Whoever set that limit can raise it.")
    latency, requests = sample.get("lat"), sample.get("ops")
    if not limited and latency is not None and latency >= SLOW_DISK_MS and (requests or 0) >= FEW_REQUESTS_PER_S:
        yield Trouble(
            "warn",
            f"A request to its disks takes {latency:.0f} ms.",
            f"There are {requests:.0f} a second. Look at the storage of its pool, and what else uses it.",
        )


def _limits_reached(guest: Domain, sample: GuestSample) -> Iterator[Throttle]:
    """Judged by all of its disks together: with one limited disk among several that is a guess, so only those with one
    disk are judged."""
    if len([disk for disk in guest.disks if disk["device"] == "disk"]) != 1:
        return
    read, written, requests = sample["rd"], sample["wr"], sample.get("ops")
    for limit in throttles(guest.xml):
        part: float | None
        if limit.is_bytes:
            part = read if "reads" in limit.words else written if "writes" in limit.words else _sum(read, written)
        else:
            part = None if "reads" in limit.words or "writes" in limit.words else requests
        if part is not None and part >= AT_LIMIT * limit.value:
            yield limit


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


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
    for label in running.values_list("label", flat=True)[:3]:
        yield Trouble(
            "warn", f"A job is at work on it: {label}.", "Until it ends that takes from its disks and network."
        )
