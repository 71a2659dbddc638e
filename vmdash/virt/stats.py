"""What the guests of a host use: one ``virConnectGetAllDomainStats`` call for all of them.

Two tiers, because the groups cost the host very differently: ``fast`` asks nothing of QEMU, ``slow`` does; ``both`` is
for hosts that are quick with either. The Python side must stay near 10 microseconds a guest, so a ``GuestStats`` keeps
libvirt's numbers and reads from them on demand. Counters begin anew with the guest's process; ``rates`` makes rates of
them. Source: virConnectGetAllDomainStats.
"""

from __future__ import annotations

from collections.abc import Sequence

import libvirt

from vmdash.virt import records
from vmdash.virt.connection import HostConnection
from vmdash.virt.counters import Counters, Part, Totals
from vmdash.virt.guest import Guest
from vmdash.virt.records import Record
from vmdash.virt.states import GuestStatus
from vmdash.virt.translation import is_unsupported, translate

FAST_GROUPS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_VCPU
SLOW_GROUPS = libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK | libvirt.VIR_DOMAIN_STATS_INTERFACE

# Active guests: paused ones still hold memory. NOWAIT: a guest whose monitor hangs comes with what is known at once and
# does not hold up the others. Drivers other than qemu know fewer of these flags; each try asks for less.
_FLAGS = (
    libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
    libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE,
)


_state, _vcpus = Totals("state.state", "state.reason"), Totals("vcpu.current")
_of_fast_groups = Part("state.", "cpu.", "vcpu.")


class GuestStats:
    """One guest at one moment. Reads libvirt's counters on demand; None where the host did not tell."""

    __slots__ = ("name", "raw", "uuid")

    def __init__(self, uuid: str, name: str, raw: Counters) -> None:
        self.uuid = uuid
        self.name = name
        self.raw = raw

    def __repr__(self) -> str:
        return f"<GuestStats {self.name} ({self.uuid}) {self.status.words}>"

    @property
    def status(self) -> GuestStatus:
        state, reason = self.raw.read(_state)
        return GuestStatus.from_libvirt(state or 0, reason or 0)

    @property
    def cpu_time_ns(self) -> int | None:
        """CPU time the host spent for it, its own and the hypervisor's."""
        return self.raw.get("cpu.time")

    @property
    def vcpu_count(self) -> int:
        """How many vCPUs are plugged in."""
        return self.raw.read(_vcpus)[0] or 0

    def fast(self) -> GuestStats:
        """What ``fast`` would have told, out of a reading of ``both``."""
        return GuestStats(self.uuid, self.name, self.raw.read(_of_fast_groups))


def fast(connection: HostConnection) -> list[GuestStats]:
    """State, CPU and vCPUs of every active guest. Raises CallUnsupported where the driver has no statistics."""
    return _read(connection, FAST_GROUPS)


def slow(connection: HostConnection, guests: Sequence[Guest]) -> list[GuestStats]:
    """Memory, disks and interfaces of these guests, for which the host asks each one's QEMU (some milliseconds a
    guest).

    Take a few at a time, so that nothing else waits long. Those that are not active are left out.
    """
    return _read(connection, SLOW_GROUPS, [guest.raw for guest in guests])


def both(connection: HostConnection) -> list[GuestStats]:
    """Both tiers of every active guest in one call, which takes libvirt and us less than two, and the host as long as
    its QEMUs want."""
    return _read(connection, FAST_GROUPS | SLOW_GROUPS)


def _read(
    connection: HostConnection, groups: int, domains: Sequence[libvirt.virDomain] | None = None
) -> list[GuestStats]:
    with translate("read the guests' statistics", connection.name):
        flags = connection.features.stats_flags
        found = _probe(connection, groups, domains) if flags is None else _call(connection, groups, domains, flags)
    return [GuestStats(*record) for record in found]


def _call(
    connection: HostConnection, groups: int, domains: Sequence[libvirt.virDomain] | None, flags: int
) -> list[Record]:
    if domains is None:
        return records.of_all(connection.raw, groups, flags)
    return records.of_some(domains, groups, flags) if domains else []


def _probe(connection: HostConnection, groups: int, domains: Sequence[libvirt.virDomain] | None) -> list[Record]:
    """The first call on a connection: find out which flags it takes, and remember."""
    for flags in _FLAGS:
        try:
            found = _call(connection, groups, domains, flags)
        except libvirt.libvirtError as error:
            if flags == _FLAGS[-1] or not (
                is_unsupported(error) or error.get_error_code() == libvirt.VIR_ERR_INVALID_ARG
            ):
                raise
        else:
            connection.features.stats_flags = flags
            return found
    raise AssertionError("unreachable")
