"""The memory policy of a guest that runs, on libvirt's test driver; refusals as QEMU hosts give them."""

from __future__ import annotations

from unittest.mock import Mock

import libvirt
import pytest

from tests.virt.test_errors import libvirt_error
from vmdash.exceptions import Conflict
from vmdash.virt.connection import HostConnection
from vmdash.virt.errors import ConnectionLost, InvalidState
from vmdash.virt.guest import Guest
from vmdash.virt.placement import Applied, apply, move_memory
from vmdash.virt.xml.placement import Placement, with_placement

WEB1 = "11111111-1111-1111-1111-111111111111"


def bound(host: HostConnection, mode: str) -> Guest:
    """A guest that runs with memory from cell 0."""
    guest = host.guest(WEB1)
    guest.destroy()
    host.raw.defineXML(with_placement(guest.xml(inactive=True), Placement(mode=mode, cells=(0,))))
    guest.start()
    return guest


def policy(guest: Guest) -> tuple[str, tuple[int, ...]]:
    found = Placement.parse(guest.xml())
    return found.mode, found.cells


def test_a_restrictive_policy_changes_its_cells_while_the_guest_runs(host: HostConnection) -> None:
    guest = bound(host, "restrictive")
    assert move_memory(guest, Placement(mode="restrictive", cells=(1,))) == Applied(running=True, memory_moves=True)
    assert policy(guest) == ("restrictive", (1,))


def test_one_that_is_as_wanted_is_left_as_it_is(host: HostConnection) -> None:
    guest = bound(host, "restrictive")
    assert move_memory(guest, Placement(mode="restrictive", cells=(0,))) == Applied(running=True)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("strict", Placement(mode="strict", cells=(1,))),
        ("preferred", Placement(mode="preferred", cells=(1,))),
        ("strict", Placement(mode="restrictive", cells=(1,))),
        ("restrictive", Placement()),
    ],
)
def test_nothing_else_is_asked_of_a_guest_that_runs(host: HostConnection, mode: str, wanted: Placement) -> None:
    guest = bound(host, mode)
    assert move_memory(guest, wanted) == Applied(running=True, policy_waits=True)
    assert policy(guest) == (mode, (0,))


def refusing(host: HostConnection, error: libvirt.libvirtError) -> Guest:
    guest = bound(host, "restrictive")
    raw = Mock(spec=libvirt.virDomain, wraps=guest.raw)
    raw.setNumaParameters.side_effect = error
    return Guest(raw, "kvm1")


def test_a_host_that_refuses_is_told_of_and_nothing_fails(host: HostConnection) -> None:
    error = libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID, text="cgroup CPUSET controller is not mounted")
    applied = move_memory(refusing(host, error), Placement(mode="restrictive", cells=(1,)))
    assert (applied.running, applied.memory_moves, applied.policy_waits) == (True, False, True)
    assert isinstance(applied.refused, InvalidState)
    assert "cgroup CPUSET controller is not mounted" in applied.refused.detail


def test_a_host_that_is_lost_is_no_refusal(host: HostConnection) -> None:
    guest = refusing(host, libvirt_error(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC))
    with pytest.raises(ConnectionLost):
        move_memory(guest, Placement(mode="restrictive", cells=(1,)))


def pinnable(host: HostConnection, mode: str, error: libvirt.libvirtError | None = None) -> tuple[Guest, Mock]:
    """The test driver cannot pin a guest that runs."""
    guest = bound(host, mode)
    raw = Mock(spec=libvirt.virDomain, wraps=guest.raw)
    raw.pinVcpuFlags = Mock(return_value=0)
    raw.pinEmulator = Mock(return_value=0)
    raw.setNumaParameters.side_effect = error
    return Guest(raw, "kvm1"), raw


REFUSAL = libvirt_error(libvirt.VIR_ERR_OPERATION_INVALID, text="cgroup CPUSET controller is not mounted")


@pytest.mark.parametrize(("mode", "error"), [("restrictive", REFUSAL), ("strict", None)])
def test_a_guest_that_shall_take_its_memory_along_stays_as_it_is_where_it_cannot(
    host: HostConnection, mode: str, error: libvirt.libvirtError | None
) -> None:
    guest, raw = pinnable(host, mode, error)
    before = guest.xml(inactive=True)
    with pytest.raises(Conflict):
        apply(host, guest, Placement({0: (1,)}, (1,), "restrictive", (1,)), with_memory=True)
    assert guest.xml(inactive=True) == before
    raw.pinVcpuFlags.assert_not_called()


def test_it_is_pinned_once_its_memory_moves(host: HostConnection) -> None:
    guest, raw = pinnable(host, "restrictive")
    wanted = Placement({0: (1,)}, (1,), "restrictive", (1,))
    assert apply(host, guest, wanted, with_memory=True) == Applied(running=True, memory_moves=True)
    calls = [call[0] for call in raw.method_calls]
    assert calls.index("setNumaParameters") < calls.index("pinVcpuFlags")
    assert Placement.parse(guest.xml(inactive=True)) == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("strict", Placement({0: (0,)}, (0,), "strict", (0,))),
        ("preferred", Placement({0: (0,)}, (0,), "strict", (0,))),
        ("", Placement({0: (1,)}, (1,), "strict", (1,))),
    ],
    ids=["to its memory", "with another mode", "without a policy"],
)
def test_what_has_no_memory_elsewhere_is_pinned_all_the_same(
    host: HostConnection, mode: str, wanted: Placement
) -> None:
    guest, raw = pinnable(host, mode)
    assert apply(host, guest, wanted, with_memory=True).running
    raw.pinVcpuFlags.assert_called()


def test_without_that_wish_its_pinning_holds_and_its_memory_follows_at_its_next_start(host: HostConnection) -> None:
    guest, raw = pinnable(host, "restrictive", REFUSAL)
    wanted = Placement({0: (1,)}, (1,), "restrictive", (1,))
    assert apply(host, guest, wanted).refused
    assert Placement.parse(guest.xml(inactive=True)) == wanted
    raw.pinVcpuFlags.assert_called()
