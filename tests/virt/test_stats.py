"""Statistics: what QEMU's hosts tell, under names with units; absent values are None and never zero."""

from __future__ import annotations

from typing import Any

import libvirt
from hypothesis import given
from hypothesis import strategies as st

from vmdash.virt import stats
from vmdash.virt.connection import HostConnection
from vmdash.virt.counters import Counters
from vmdash.virt.states import GuestState, GuestStatus
from vmdash.virt.stats import GuestStats, VcpuStats

# As told by libvirt 9.0 with QEMU 7.2; the guest has two of at most three vCPUs, and the middle one is unplugged.
TOLD: dict[str, Any] = {
    "state.state": 1,
    "state.reason": 1,
    "cpu.time": 12070000000,
    "cpu.user": 9000000000,
    "cpu.system": 3070000000,
    "vcpu.current": 2,
    "vcpu.maximum": 3,
    "vcpu.0.state": 1,
    "vcpu.0.time": 9590000000,
    "vcpu.0.wait": 0,
    "vcpu.0.halted": False,
    "vcpu.0.delay": 1234567,
    "vcpu.2.state": 1,
    "vcpu.2.time": 5,
    "balloon.current": 98304,
    "balloon.maximum": 131072,
    "balloon.unused": 24212,
    "balloon.available": 62012,
    "balloon.usable": 31160,
    "balloon.rss": 203352,
    "net.count": 1,
    "net.0.name": "vnet5",
    "net.0.rx.bytes": 153204,
    "net.0.rx.pkts": 292,
    "net.0.rx.errs": 0,
    "net.0.rx.drop": 1,
    "net.0.tx.bytes": 145030,
    "block.count": 2,
    "block.0.name": "vda",
    "block.0.path": "/images/web1.qcow2",
    "block.0.rd.reqs": 14,
    "block.0.rd.bytes": 18944,
    "block.0.rd.times": 23682412,
    "block.0.capacity": 268435456,
    "block.1.name": "hdc",
}
GUEST = GuestStats("11111111-1111-1111-1111-111111111111", "web1", Counters.of(TOLD))


def test_cpu_and_state_are_read() -> None:
    assert GUEST.status == GuestStatus(GuestState.RUNNING, "booted")
    assert (GUEST.cpu_time_ns, GUEST.cpu_user_ns, GUEST.cpu_system_ns) == (12070000000, 9000000000, 3070000000)
    assert (GUEST.vcpu_count, GUEST.vcpu_maximum) == (2, 3)


def test_an_unplugged_vcpu_leaves_a_gap() -> None:
    assert GUEST.vcpus == (
        VcpuStats(0, 1, 9590000000, 1234567, 0, False),
        VcpuStats(2, 1, 5, None, None, None),
    )


def test_memory_is_in_kib() -> None:
    balloon = GUEST.balloon
    assert balloon is not None
    assert (balloon.current_kib, balloon.maximum_kib, balloon.rss_kib) == (98304, 131072, 203352)
    assert balloon.swap_in_kib is None


def test_disks_and_interfaces_are_read_with_what_they_lack() -> None:
    disk, empty_drive = GUEST.blocks
    assert (disk.name, disk.read_requests, disk.read_time_ns, disk.write_bytes) == ("vda", 14, 23682412, None)
    assert (empty_drive.name, empty_drive.capacity_bytes) == ("hdc", None)
    (interface,) = GUEST.interfaces
    assert (interface.name, interface.rx_bytes, interface.rx_drops, interface.tx_drops) == ("vnet5", 153204, 1, None)


@given(st.dictionaries(st.sampled_from(sorted(set(TOLD) - {"vcpu.maximum", "net.count", "block.count"})), st.none()))
def test_a_host_that_tells_less_is_understood(absent: dict[str, None]) -> None:
    less = GuestStats("", "", Counters.of({name: value for name, value in TOLD.items() if name not in absent}))
    assert less.status.words
    assert len(less.blocks) == 2
    assert len(less.interfaces) == 1
    assert {vcpu.number for vcpu in less.vcpus} <= {0, 2}
    assert less.balloon is None or less.balloon.current_kib is not None


def test_a_driver_without_details_tells_the_state_at_least(host: HostConnection) -> None:
    (one,) = stats.fast(host)
    assert one.uuid == "11111111-1111-1111-1111-111111111111"
    assert one.status.state is GuestState.RUNNING
    assert one.cpu_time_ns is None
    assert (one.vcpus, one.blocks, one.interfaces, one.balloon) == ((), (), (), None)


def test_guests_that_are_off_are_left_out(host: HostConnection) -> None:
    guest = host.guest_named("web1")
    guest.destroy()
    assert stats.fast(host) == []


def test_the_flags_a_driver_takes_are_found_once(host: HostConnection) -> None:
    stats.fast(host)
    flags = host.features.stats_flags
    assert flags is not None
    assert flags & libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
