"""Pinning a guest and its memory policy: read from a host, and changed there.

Pinning works at once, on a guest that runs, and in its definition. The cells of a memory policy change for a guest that
runs only where its mode is `restrictive`, on hosts that keep guests in control groups with a cpuset (libvirt refuses it
otherwise, for `strict` since 8.0: QEMU binds such memory itself, and nothing moves it). The kernel then moves what the
guest has, as far as it can, and libvirt does not say how far that is. Everything else holds from the next start.
Source: virDomainPinVcpuFlags, virDomainPinEmulator, virDomainSetNumaParameters; Linux, "cpuset.mems" in cgroup-v2.rst.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import libvirt

from vmdash.exceptions import Conflict
from vmdash.virt import cpuset
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import CallError
from vmdash.virt.guest import Guest
from vmdash.virt.translation import translate
from vmdash.virt.xml.placement import MOVABLE_MODE, Placement, with_placement


@dataclass(frozen=True, slots=True)
class Applied:
    """What came about. ``memory_moves``: the cells of its memory policy were changed while it runs. ``policy_waits``:
    it runs with another policy, and the new one holds from its next start. ``refused``: that is so because the host
    would not change it, and why. ``persistent``: it has a definition, which holds from its next start."""

    running: bool
    memory_moves: bool = False
    policy_waits: bool = False
    refused: CallError | None = None
    persistent: bool = True


def apply(connection: HostConnection, guest: Guest, wanted: Placement, *, with_memory: bool = False) -> Applied:
    """Make it so: in the definition, where the guest has one, and at once what can be while it runs.

    Raises:
        VirtError: what was done before stays. Conflict: ``with_memory``, and the memory of the guest, which runs, would
        be left in other cells; nothing was done.
    """
    facts = guest.facts()
    applied = Applied(running=False)
    if facts.status.state.is_active:
        applied = replace(_memory_first(guest, wanted, with_memory=with_memory), persistent=facts.persistent)
    if facts.persistent:
        changed = with_placement(guest.xml(secure=True, inactive=True), wanted)
        with translate(f"change the definition of {guest.name}", guest.host):
            connection.raw.defineXML(changed)
    if applied.running:
        _pin_now(connection, guest, wanted)
    return applied


def _memory_first(guest: Guest, wanted: Placement, *, with_memory: bool) -> Applied:
    """Before it is pinned, so that it is not pinned away from memory that stays where it is."""
    bound = Placement.parse(guest.xml()).cells
    applied = move_memory(guest, wanted)
    if with_memory and bound and bound != wanted.cells and not applied.memory_moves:
        if applied.refused:
            raise applied.refused
        raise Conflict(
            f"{guest.name} runs with memory from cell {cpuset.text_of(bound)} by its memory policy, and would keep it.",
            hint="Nothing was changed.",
        )
    return applied


def move_memory(guest: Guest, wanted: Placement) -> Applied:
    """Have the memory of a guest that runs come from other cells, where its mode allows that. Raises HostError."""
    now = Placement.parse(guest.xml())
    if (now.mode, now.cells) == (wanted.mode, wanted.cells):
        return Applied(running=True)
    if not now.mode == wanted.mode == MOVABLE_MODE:
        return Applied(running=True, policy_waits=True)
    cells = {libvirt.VIR_DOMAIN_NUMA_NODESET: cpuset.text_of(wanted.cells)}
    try:
        with translate(f"move the memory of {guest.name}", guest.host):
            guest.raw.setNumaParameters(cells, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except CallError as error:
        return Applied(running=True, policy_waits=True, refused=error)
    return Applied(running=True, memory_moves=True)


def read_now(connection: HostConnection, guest: Guest) -> Placement:
    """What holds now: the live pinning of a guest that runs, otherwise its definition's."""
    return Placement.parse(guest.xml(inactive=not guest.is_active()))


def _pin_now(connection: HostConnection, guest: Guest, wanted: Placement) -> None:
    with translate(f"pin the vCPUs of {guest.name}", guest.host):
        online = connection.raw.getCPUMap()[0]
        for number, *_ in guest.raw.vcpus()[0]:
            cpus = wanted.pins.get(number) or range(online)
            guest.raw.pinVcpuFlags(number, _map(cpus, online), libvirt.VIR_DOMAIN_AFFECT_LIVE)
        guest.raw.pinEmulator(_map(wanted.emulator or range(online), online), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _map(cpus: range | tuple[int, ...], count: int) -> tuple[bool, ...]:
    chosen = set(cpus)
    return tuple(number in chosen for number in range(count))
