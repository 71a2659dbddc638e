"""The faults that other tests and benchmarks practise with are real ones."""

from __future__ import annotations

import socket

import pytest

from vmdash.lab.commands import LabError
from vmdash.lab.faults import black_hole, hung_libvirtd, killed_libvirtd
from vmdash.lab.fillers import filler_guests
from vmdash.lab.qemu_host import QemuHost


def test_a_black_hole_drops_connection_attempts() -> None:
    with black_hole("127.0.0.1") as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), timeout=0.3)


@pytest.mark.lab
def test_a_hung_libvirtd_accepts_connections_and_answers_nothing_until_it_goes_on(
    lab_hosts: dict[str, QemuHost],
) -> None:
    kvm2 = lab_hosts["kvm2"]

    with hung_libvirtd(kvm2):
        socket.create_connection((kvm2.address, 16514), timeout=2).close()
        with pytest.raises(LabError, match="No answer within 1 s"):
            kvm2.virsh("list", timeout_s=1)

    assert "wiki" in kvm2.virsh("list", timeout_s=20)


@pytest.mark.lab
def test_guests_survive_the_death_of_libvirtd(lab_hosts: dict[str, QemuHost]) -> None:
    kvm2 = lab_hosts["kvm2"]
    before = kvm2.virsh("domid", "mail1")

    with killed_libvirtd(kvm2), pytest.raises(ConnectionRefusedError):
        socket.create_connection((kvm2.address, 16514), timeout=2)

    assert kvm2.virsh("domid", "mail1") == before


@pytest.mark.lab
def test_filler_guests_are_shared_out_run_and_leave_nothing(lab_hosts: dict[str, QemuHost]) -> None:
    with filler_guests(list(lab_hosts.values()), 4) as names:
        assert [len(of_host) for of_host in names.values()] == [2, 1, 1]
        for name, of_host in names.items():
            assert set(of_host) <= set(lab_hosts[name].virsh("list", "--name").split())
            lab_hosts[name].virsh("suspend", of_host[0])

    for host in lab_hosts.values():
        assert "filler" not in host.virsh("list", "--all")
