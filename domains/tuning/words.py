"""Tuning in words: what changes, what is to be known before, and what a guest made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmdash import formats
from vmdash.virt.xml.throttle import LIMITS, Limits, together
from vmdash.virt.xml.tuning import Tuning

_WAYS = {"all": "", "reads": " read", "writes": " written"}
_OPERATIONS = {"all": "operations", "reads": "reads", "writes": "writes"}


@dataclass(frozen=True, slots=True)
class Change:
    what: str
    before: str
    after: str


def changes(before: Tuning, after: Tuning) -> Iterator[Change]:
    """What `after` says, against what was; a line each."""
    if after.vcpus is not None:
        yield Change("vCPUs", _number(before.vcpus), str(after.vcpus))
    if after.memory_kib is not None:
        yield Change("Memory", formats.kib(before.memory_kib), formats.kib(after.memory_kib))
    if after.cpu_shares is not None:
        yield Change("CPU shares", shares_words(before.cpu_shares), shares_words(after.cpu_shares))
    told: set[tuple[str, ...]] = set()
    for target, limits in after.disks.items():
        disks = shared_then(target, before, after)
        if disks not in told:
            told.add(disks)
            what = f"Limits of {', '.join(disks)}" + (f" (group {before.groups[target]})" if len(disks) > 1 else "")
            yield Change(what, limit_words(before.disks.get(target, {})), limit_words(limits))


def shared_then(target: str, before: Tuning, after: Tuning) -> tuple[str, ...]:
    """The disks that get what is set on this one: those of its group, less those that leave it by having no limit."""
    if not after.disks[target]:
        return (target,)
    return tuple(one for one in together(target, before.groups) if after.disks.get(one, True))


def shared_words(target: str, groups: Mapping[str, str], *, begin: str) -> str:
    """ "shared with vdb, vdc (group fast)" after `begin`, "shared with "; nothing of a disk that shares its limits with
    no other."""
    others = [one for one in together(target, groups) if one != target]
    return f"{begin}{', '.join(others)} (group {groups[target]})" if others else ""


def summary(after: Tuning) -> str:
    """ "2 vCPUs, 80 MiB of memory, limits of vda" """
    parts = []
    if after.vcpus is not None:
        parts.append(f"{after.vcpus} vCPU{'' if after.vcpus == 1 else 's'}")
    if after.memory_kib is not None:
        parts.append(f"{formats.kib(after.memory_kib)} of memory")
    if after.cpu_shares is not None:
        parts.append(f"CPU shares {after.cpu_shares}" if after.cpu_shares else "no CPU shares of its own")
    if after.disks:
        parts.append(f"limits of {', '.join(after.disks)}")
    return ", ".join(parts)


def limit_words(limits: Limits) -> str:
    """ "20 MiB/s read, 500 writes/s" """
    parts = [limit_value(key, limits[key]) for key in LIMITS if limits.get(key)]
    if any(key.endswith("_max") for key in limits):
        parts.append("more in bursts")
    return ", ".join(parts) or "none"


def limit_value(key: str, value: float) -> str:
    """ "20 MiB/s read", "500 writes/s" """
    if "bytes" in key:
        return formats.per_second(value) + _WAYS[LIMITS[key]]
    return f"{formats.number(round(value))} {_OPERATIONS[LIMITS[key]]}/s"


def shares_words(shares: int | None) -> str:
    return "as its host gives to all" if not shares else str(shares)


def memory_answer(asked_kib: int, has_kib: int) -> str:
    if asked_kib == has_kib:
        return f"libvirt reports {formats.kib(has_kib)}, as asked."
    return (
        f"libvirt reports {formats.kib(has_kib)}, and {formats.kib(asked_kib)} was asked for. The guest's balloon "
        "driver has not gone along so far: it may not run, need the memory, or take longer."
    )


def vcpu_answer(asked: int, has: int, online: int | None) -> str:
    """`online`: how many the guest uses, as its agent tells."""
    if asked != has:
        return f"libvirt reports {has} vCPUs, and {asked} were asked for."
    words = f"libvirt reports {has} vCPU{'' if has == 1 else 's'}, as asked."
    if online is None:
        return f"{words} How many of them the guest uses only its agent could tell."
    if online < has:
        return f"{words} The guest uses {online} of them, as its agent tells: bring the others online inside it."
    return f"{words} The guest uses all of them, as its agent tells."


DEFAULTS = (("cgroup v1", 1024), ("cgroup v2", 100))
"""What a guest without shares of its own gets: the host's default, which libvirt does not tell."""


def share_sentence(own: int, others: Sequence[int]) -> str:
    """What shares mean beside those of the other guests that run on the host (0: the default)."""
    if not others:
        return "No other guest runs on its host now: there is nobody to share with."
    count = len(others)
    beside = f"beside the {'one other guest that runs' if count == 1 else f'{count} other guests that run'} there now"
    if own and all(others):
        gets, rest = formats.percent(_part(own, others, 0)), ""
    elif not own and not any(others):
        gets, rest = formats.percent(100 / (count + 1)), " All have the same shares."
    else:
        gets = " or ".join(f"{formats.percent(_part(own, others, default))} ({name})" for name, default in DEFAULTS)
        rest = " Some have the host's default, which libvirt does not tell."
    return f"When all want CPU time at once, it gets {gets} of it, {beside}.{rest}"


def _part(own: int, others: Sequence[int], default: int) -> float:
    mine = own or default
    return 100 * mine / (mine + sum(other or default for other in others))


def _number(value: int | None) -> str:
    return formats.UNKNOWN if value is None else str(value)
