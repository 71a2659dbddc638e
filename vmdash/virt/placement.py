"""Pinning a guest and its memory policy: read from a host, and changed there.

Pinning works at once, on a guest that runs, and in its definition. libvirt changes the memory policy of a guest that
runs only in some cases, and does not say which pages moved; so the policy is changed in the definition alone, for the
next start. Source: virDomainPinVcpuFlags, virDomainPinEmulator.
"""

from __future__ import annotations

import libvirt

from vmdash.virt.connection import HostConnection
from vmdash.virt.guest import Guest
from vmdash.virt.translation import translate
from vmdash.virt.xml.placement import Placement, with_placement


def apply(connection: HostConnection, guest: Guest, wanted: Placement) -> bool:
    """Make it so: in the definition, where the guest has one, and pinning at once while it runs. Returns whether it
    runs.

    Raises VirtError; what was done before stays.
    """
    facts = guest.facts()
    running = facts.status.state.is_active
    if facts.persistent:
        changed = with_placement(guest.xml(secure=True, inactive=True), wanted)
        with translate(f"change the definition of {guest.name}", guest.host):
            connection.raw.defineXML(changed)
    if running:
        _pin_now(connection, guest, wanted)
    return running


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
