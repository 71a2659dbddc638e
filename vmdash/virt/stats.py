"""What the guests of a host use: one ``virConnectGetAllDomainStats`` call for all of them.

Two tiers, because the groups cost the host very differently: ``fast`` asks nothing of QEMU, ``slow`` does. The Python
side must stay near 10 microseconds a guest, so a ``GuestStats`` keeps libvirt's numbers and reads from them on demand.
Counters begin anew with the guest's process; ``rates`` makes rates of them. Source: virConnectGetAllDomainStats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import libvirt

from vmdash.virt import records
from vmdash.virt.connection import HostConnection
from vmdash.virt.counters import Counters
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


class VcpuStats(NamedTuple):
    """``delay_ns`` (libvirt ≥ 7.2): runnable, but waiting for a CPU, which the guest sees as steal.

    ``wait_ns``: waiting for I/O.
    """

    number: int
    state: int
    time_ns: int | None
    delay_ns: int | None
    wait_ns: int | None
    halted: bool | None


class BalloonStats(NamedTuple):
    """Memory in KiB. ``rss_kib``: what the host holds for it; ``unused`` and ``available``: as the guest sees it."""

    current_kib: int | None
    maximum_kib: int | None
    rss_kib: int | None
    unused_kib: int | None
    available_kib: int | None
    usable_kib: int | None
    swap_in_kib: int | None
    swap_out_kib: int | None
    major_faults: int | None


@dataclass(frozen=True, slots=True)
class BlockStats:
    """One disk; counters since the guest's process began, times in ns spent in requests."""

    name: str
    path: str
    read_requests: int | None
    read_bytes: int | None
    read_time_ns: int | None
    write_requests: int | None
    write_bytes: int | None
    write_time_ns: int | None
    flush_requests: int | None
    flush_time_ns: int | None
    allocation_bytes: int | None
    capacity_bytes: int | None
    physical_bytes: int | None


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """One network interface, by its device on the host; received and sent as the guest sees it."""

    name: str
    rx_bytes: int | None
    rx_packets: int | None
    rx_errors: int | None
    rx_drops: int | None
    tx_bytes: int | None
    tx_packets: int | None
    tx_errors: int | None
    tx_drops: int | None


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
        return GuestStatus.from_libvirt(self.raw.get("state.state", 0), self.raw.get("state.reason", 0))

    @property
    def cpu_time_ns(self) -> int | None:
        """CPU time the host spent for it, its own and the hypervisor's."""
        return self.raw.get("cpu.time")

    @property
    def cpu_user_ns(self) -> int | None:
        return self.raw.get("cpu.user")

    @property
    def cpu_system_ns(self) -> int | None:
        return self.raw.get("cpu.system")

    @property
    def vcpu_count(self) -> int:
        """How many vCPUs are plugged in."""
        return int(self.raw.get("vcpu.current", 0))

    @property
    def vcpu_maximum(self) -> int:
        return int(self.raw.get("vcpu.maximum", 0))

    @property
    def vcpus(self) -> tuple[VcpuStats, ...]:
        return tuple(self._read_vcpus())

    @property
    def balloon(self) -> BalloonStats | None:
        get = self.raw.get
        if get("balloon.current") is None:
            return None
        return BalloonStats(
            current_kib=get("balloon.current"),
            maximum_kib=get("balloon.maximum"),
            rss_kib=get("balloon.rss"),
            unused_kib=get("balloon.unused"),
            available_kib=get("balloon.available"),
            usable_kib=get("balloon.usable"),
            swap_in_kib=get("balloon.swap_in"),
            swap_out_kib=get("balloon.swap_out"),
            major_faults=get("balloon.major_fault"),
        )

    @property
    def blocks(self) -> tuple[BlockStats, ...]:
        return tuple(self._block(f"block.{n}.") for n in range(self.raw.get("block.count", 0)))

    @property
    def interfaces(self) -> tuple[InterfaceStats, ...]:
        return tuple(self._interface(f"net.{n}.") for n in range(self.raw.get("net.count", 0)))

    def _read_vcpus(self) -> Iterator[VcpuStats]:
        get = self.raw.get
        for n in self.raw.layout.numbers("vcpu"):  # there may be gaps: vCPUs can be unplugged
            state, time_ns, delay_ns, wait_ns, halted = (
                get(f"vcpu.{n}.{counter}") for counter in ("state", "time", "delay", "wait", "halted")
            )
            if state is not None:
                yield VcpuStats(n, state, time_ns, delay_ns, wait_ns, halted)

    def _block(self, at: str) -> BlockStats:
        get = self.raw.get
        return BlockStats(
            name=get(at + "name", ""),
            path=get(at + "path", ""),
            read_requests=get(at + "rd.reqs"),
            read_bytes=get(at + "rd.bytes"),
            read_time_ns=get(at + "rd.times"),
            write_requests=get(at + "wr.reqs"),
            write_bytes=get(at + "wr.bytes"),
            write_time_ns=get(at + "wr.times"),
            flush_requests=get(at + "fl.reqs"),
            flush_time_ns=get(at + "fl.times"),
            allocation_bytes=get(at + "allocation"),
            capacity_bytes=get(at + "capacity"),
            physical_bytes=get(at + "physical"),
        )

    def _interface(self, at: str) -> InterfaceStats:
        get = self.raw.get
        return InterfaceStats(
            name=get(at + "name", ""),
            rx_bytes=get(at + "rx.bytes"),
            rx_packets=get(at + "rx.pkts"),
            rx_errors=get(at + "rx.errs"),
            rx_drops=get(at + "rx.drop"),
            tx_bytes=get(at + "tx.bytes"),
            tx_packets=get(at + "tx.pkts"),
            tx_errors=get(at + "tx.errs"),
            tx_drops=get(at + "tx.drop"),
        )


def fast(connection: HostConnection) -> list[GuestStats]:
    """State, CPU and vCPUs of every active guest. Raises CallUnsupported where the driver has no statistics."""
    return _read(connection, FAST_GROUPS)


def slow(connection: HostConnection, guests: Sequence[Guest]) -> list[GuestStats]:
    """Memory, disks and interfaces of these guests, for which the host asks each one's QEMU (some milliseconds a
    guest).

    Take a few at a time, so that nothing else waits long. Those that are not active are left out.
    """
    return _read(connection, SLOW_GROUPS, [guest.raw for guest in guests])


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
