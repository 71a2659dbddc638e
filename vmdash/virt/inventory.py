"""What a host has, guest by guest, in few calls: for the sweep that corrects what events missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import libvirt

from vmdash.virt import listing, records
from vmdash.virt.errors import CallError, GuestNotFound
from vmdash.virt.guest import Guest, GuestFacts
from vmdash.virt.listing import Listed
from vmdash.virt.records import Record
from vmdash.virt.states import GuestStatus
from vmdash.virt.translation import supported, translate


@dataclass(frozen=True, slots=True)
class UnreadGuest:
    """A guest that is there, but whose facts cannot be read now."""

    uuid: str
    error: CallError


def read(
    raw: libvirt.virConnect, host: str, handle: Callable[[str], Guest]
) -> Iterator[tuple[GuestFacts, Guest] | UnreadGuest]:
    """Every guest: five calls for all, then one for each, against six for each by ``Guest.facts``. ``handle`` gives the
    guest with a UUID, with a call of its own when it has to be looked up, and may raise GuestNotFound."""
    with translate("read the guests", host):
        listed = listing.of(raw)
        persistent = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
        autostart = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
        saved = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        statuses = _statuses(raw)
    for uuid, name, number in listed:
        try:
            guest = handle(uuid)
            with translate(f"read {name}", host):
                _, max_memory_kib, memory_kib, vcpus, cpu_time_ns = guest.raw.info()
                status = statuses.get(uuid) or GuestStatus.from_libvirt(*guest.raw.state())
        except GuestNotFound:
            continue  # undefined while we were reading
        except CallError as error:  # of this guest alone
            yield UnreadGuest(uuid, error)
            continue
        facts = GuestFacts(
            uuid=uuid,
            name=name,
            status=status,
            libvirt_id=number,
            persistent=uuid in persistent,
            autostart=uuid in autostart,
            has_managed_save=uuid in saved,
            vcpus=vcpus,
            memory_kib=memory_kib,
            max_memory_kib=max_memory_kib,
            cpu_time_ns=cpu_time_ns,
        )
        yield facts, guest


def _uuids(raw: libvirt.virConnect, flag: int) -> frozenset[str]:
    """The guests a filter lets through; none where the driver does not know the filter."""
    listed: list[Listed] = supported(lambda: listing.of(raw, flag), [])
    return frozenset(one.uuid for one in listed)


def _statuses(raw: libvirt.virConnect) -> dict[str, GuestStatus]:
    read: list[Record] = supported(lambda: records.of_all(raw, libvirt.VIR_DOMAIN_STATS_STATE, 0), [])
    return {
        one.uuid: GuestStatus.from_libvirt(state, one.counters.get("state.reason", 0))
        for one in read
        if (state := one.counters.get("state.state")) is not None
    }
