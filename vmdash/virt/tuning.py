"""Giving a guest more or less while it runs, and asking what came of it.

vCPUs are taken away, and memory is, only where the guest goes along; libvirt tells what it has afterwards. Source:
virDomainSetVcpusFlags, virDomainSetMemoryFlags, virDomainSetSchedulerParametersFlags, virDomainSetBlockIoTune.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import libvirt

from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import (
    ArgumentRefused,
    CallError,
    CallTimedOut,
    CallUnsupported,
    HypervisorError,
    InvalidState,
)
from vmdash.virt.guest import Guest
from vmdash.virt.translation import translate
from vmdash.virt.xml.throttle import GROUP, LIMITS, Limits
from vmdash.virt.xml.tuning import Tuning, Tunings, lacks_balloon, without_shares

NOW, NEXT = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
_SHARES = "cpu_shares"
_NO_CGROUPS = "it keeps its guests in no control groups (cgroups) for CPU, so shares would count for nothing"
_KEPT = (
    "the guest did not let go of what is too many, as far as the host can tell. Only vCPUs that were plugged in while "
    "it ran can be taken away; any number can be set while it is off"
)

_KEEPS = (CallTimedOut, HypervisorError, ArgumentRefused)
"""It did not answer in time, QEMU knows that it cannot, or libvirt does."""

Call = Callable[[], object]


def read(guest: Guest) -> Tunings:
    """What it has and what its definition says. Two calls, and one for shares that are not its own."""
    facts = guest.facts()
    active = facts.status.state.is_active
    now = Tuning.parse(guest.xml()) if active else Tuning()
    if active and not now.cpu_shares:
        now = replace(now, cpu_shares=_default_shares(guest))
    return Tunings(now, Tuning.parse(guest.xml(inactive=True)) if facts.persistent else Tuning())


def apply(connection: HostConnection, guest: Guest, wanted: Tunings, before: Tunings) -> None:
    """Make it so. What cannot be leaves everything as it was ``before``, as far as the guest lets it.

    Raises VirtError.
    """
    facts = guest.facts()
    now = wanted.now if facts.status.state.is_active else Tuning()
    then = wanted.next if facts.persistent else Tuning()
    if wanted.next.cpu_shares and not facts.status.state.is_active:
        _refuse_shares_without_cgroups(connection, guest)
    undoing: list[Call] = []
    try:
        for step, back in _steps(connection, guest, Tunings(now, then), before):
            undoing.append(back)
            step()
    except CallError:
        for back in reversed(undoing):
            with suppress(CallError):
                back()
        raise


def online_inside(guest: Guest) -> int | None:
    """How many vCPUs the guest itself uses, by its agent; None when that does not tell."""
    with suppress(CallError), translate(f"ask the guest agent of {guest.name}", guest.host):
        guest.raw.agentSetResponseTimeout(2)
        return int(guest.raw.vcpusFlags(NOW | libvirt.VIR_DOMAIN_VCPU_GUEST))
    return None


def _steps(connection: HostConnection, guest: Guest, wanted: Tunings, before: Tunings) -> Iterator[tuple[Call, Call]]:
    """What is done, and what undoes it; what hosts and guests refuse most easily comes first."""
    both = ((NOW, wanted.now, before.now), (NEXT, wanted.next, before.next))
    for flag, new, old in both:
        if new.cpu_shares is not None:
            yield _pair(_set_shares, connection, guest, flag, new.cpu_shares, old.cpu_shares)
    for flag, new, old in both:
        for target in new.disks:
            yield _pair(_set_limits, guest, target, flag, _limits(new, target), _limits(old, target))
    for flag, new, old in both:
        if new.memory_kib is not None:
            yield _pair(_set_memory, guest, flag, new.memory_kib, old.memory_kib)
    for flag, new, old in both:
        if new.vcpus is not None:
            yield _pair(_set_vcpus, guest, flag, new.vcpus, old.vcpus)


def _pair(call: Callable[..., object], *rest: object) -> tuple[Call, Call]:
    *common, new, old = rest
    return lambda: call(*common, new), lambda: None if old is None else call(*common, old)


def _set_vcpus(guest: Guest, flag: int, count: int) -> None:
    doing = f"give {guest.name} {count} vCPU{'' if count == 1 else 's'}"
    try:
        with translate(doing, guest.host):
            guest.raw.setVcpusFlags(count, flag)
    except _KEEPS as error:
        if flag == NOW and count < guest.facts().vcpus:
            raise InvalidState.because(doing, guest.host, reason=_KEPT, detail=error.detail) from error
        raise


def _set_memory(guest: Guest, flag: int, memory_kib: int) -> None:
    doing = f"change the memory of {guest.name}"
    if flag == NOW and lacks_balloon(guest.xml()):
        reason = "it has no balloon, so its memory changes with its next start only"
        raise CallUnsupported.because(doing, guest.host, reason=reason)
    with translate(doing, guest.host):
        guest.raw.setMemoryFlags(memory_kib, flag)


def _limits(tuning: Tuning, target: str) -> tuple[Limits, str] | None:
    """With the group that shares them."""
    return (tuning.disks[target], tuning.groups.get(target, "")) if target in tuning.disks else None


def _set_limits(guest: Guest, target: str, flag: int, told_of: tuple[Limits, str]) -> None:
    # All six are named: of those that are not, libvirt would keep what was. A burst needs the limit that it exceeds.
    # Likewise it stays in its group, unless it has no limit any more: so what had left one is put back by name.
    limits, group = told_of
    told: dict[str, int | str] = dict.fromkeys(LIMITS, 0)
    shared = {GROUP: group} if limits and group else {}
    with translate(f"limit the disk {target} of {guest.name}", guest.host):
        known: dict[str, object] = guest.raw.blockIoTune(target, flag)
        bursts = {name: 0 for name, value in known.items() if name.endswith("_max") and value and name not in limits}
        guest.raw.setBlockIoTune(target, told | bursts | dict(limits) | shared, flag)


def _set_shares(connection: HostConnection, guest: Guest, flag: int, shares: int) -> None:
    doing = f"change the CPU shares of {guest.name}"
    if shares:
        try:
            with translate(doing, guest.host):
                guest.raw.setSchedulerParametersFlags({_SHARES: shares}, flag)
        except InvalidState as error:
            if flag == NOW and guest.is_active():
                raise CallUnsupported.because(doing, guest.host, reason=_NO_CGROUPS, detail=error.detail) from error
            raise
    elif flag == NEXT:
        with translate(doing, guest.host):
            connection.raw.defineXML(without_shares(guest.xml(secure=True, inactive=True)))


def _default_shares(guest: Guest) -> int:
    """What the host gives to those without shares of their own; 0 where it does not tell."""
    with suppress(CallError), translate(f"read the CPU shares of {guest.name}", guest.host):
        return int(guest.raw.schedulerParametersFlags(NOW).get(_SHARES, 0))
    return 0


def _refuse_shares_without_cgroups(connection: HostConnection, guest: Guest) -> None:
    """A guest that is off tells nothing, but would not start any more; one that runs on the host tells.

    Raises CallUnsupported.
    """
    with translate("list the guests", guest.host):
        others = connection.raw.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    for other in others[:1]:
        if not _default_shares(Guest(other, guest.host)):
            raise CallUnsupported.because(f"change the CPU shares of {guest.name}", guest.host, reason=_NO_CGROUPS)
