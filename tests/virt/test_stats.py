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
from vmdash.virt.stats import GuestStats

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
}
GUEST = GuestStats("11111111-1111-1111-1111-111111111111", "web1", Counters.of(TOLD))


def test_cpu_and_state_are_read() -> None:
    assert GUEST.status == GuestStatus(GuestState.RUNNING, "booted")
    assert (GUEST.cpu_time_ns, GUEST.vcpu_count) == (12070000000, 2)


@given(st.dictionaries(st.sampled_from(sorted(TOLD)), st.none()))
def test_a_host_that_tells_less_is_understood(absent: dict[str, None]) -> None:
    less = GuestStats("", "", Counters.of({name: value for name, value in TOLD.items() if name not in absent}))
    assert less.status.words
    assert less.cpu_time_ns in (12070000000, None)
    assert less.vcpu_count in (2, 0)


def test_a_driver_without_details_tells_the_state_at_least(host: HostConnection) -> None:
    (one,) = stats.fast(host)
    assert one.uuid == "11111111-1111-1111-1111-111111111111"
    assert one.status.state is GuestState.RUNNING
    assert one.cpu_time_ns is None
    assert one.vcpu_count == 0


def test_guests_that_are_off_are_left_out(host: HostConnection) -> None:
    guest = host.guest_named("web1")
    guest.destroy()
    assert stats.fast(host) == []


def test_the_flags_a_driver_takes_are_found_once(host: HostConnection) -> None:
    stats.fast(host)
    flags = host.features.stats_flags
    assert flags is not None
    assert flags & libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
