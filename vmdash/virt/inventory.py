"""What a host has, guest by guest, in few calls: for the sweep that corrects what events missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libvirt

from vmdash.virt.errors import CallError, GuestNotFound
from vmdash.virt.guest import GuestFacts
from vmdash.virt.states import GuestStatus
from vmdash.virt.translation import supported, translate


@dataclass(frozen=True, slots=True)
class UnreadGuest:
    """A guest that is there, but whose facts cannot be read now."""

    uuid: str
    error: CallError


def read(raw: libvirt.virConnect, host: str) -> Iterator[GuestFacts | UnreadGuest]:
    """The facts of every guest: five calls for all, then one for each, against six for each by ``Guest.facts``."""
    with translate("read the guests", host):
        domains = raw.listAllDomains()
        persistent = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
        autostart = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
        saved = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        statuses = _statuses(raw)
        for domain in domains:
            uuid = domain.UUIDString()
            try:
                with translate(f"read {domain.name()}", host):
                    _, max_memory_kib, memory_kib, vcpus, cpu_time_ns = domain.info()
                    status = statuses.get(uuid) or GuestStatus.from_libvirt(*domain.state())
            except GuestNotFound:
                continue  # undefined while we were reading
            except CallError as error:  # of this guest alone
                yield UnreadGuest(uuid, error)
                continue
            libvirt_id = domain.ID()
            yield GuestFacts(
                uuid=uuid,
                name=domain.name(),
                status=status,
                libvirt_id=None if libvirt_id < 0 else libvirt_id,
                persistent=uuid in persistent,
                autostart=uuid in autostart,
                has_managed_save=uuid in saved,
                vcpus=vcpus,
                memory_kib=memory_kib,
                max_memory_kib=max_memory_kib,
                cpu_time_ns=cpu_time_ns,
            )


def _uuids(raw: libvirt.virConnect, flag: int) -> frozenset[str]:
    """The guests a filter lets through; none where the driver does not know the filter."""
    domains: list[libvirt.virDomain] = supported(lambda: raw.listAllDomains(flag), [])
    return frozenset(domain.UUIDString() for domain in domains)


def _statuses(raw: libvirt.virConnect) -> dict[str, GuestStatus]:
    records: list[tuple[libvirt.virDomain, dict[str, int]]] = supported(
        lambda: raw.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE), []
    )
    return {
        domain.UUIDString(): GuestStatus.from_libvirt(told["state.state"], told["state.reason"])
        for domain, told in records
        if "state.state" in told
    }
