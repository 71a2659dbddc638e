"""Limits that are set on libvirt's test driver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.libvirtd import TestDriverHost
from vmdash.virt import tuning
from vmdash.virt.guest import Guest
from vmdash.virt.xml.tuning import Tuning, Tunings

XML = """<domain type='test'><name>tuned</name><memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


@pytest.fixture
def guest(libvirtd: TestDriverHost) -> Iterator[Guest]:
    guest = libvirtd.connection.define(XML)
    guest.start()
    yield guest
    guest.destroy()
    guest.undefine()


def test_a_disk_that_left_its_group_is_put_back_by_name(libvirtd: TestDriverHost, guest: Guest) -> None:
    """The same limits without it would be its own: all disks together could do more than before."""
    limits = {"total_bytes_sec": 5, "total_bytes_sec_max": 9}
    was = Tuning(disks={"vda": limits}, groups={"vda": "fast"})
    tuning.apply(libvirtd.connection, guest, Tunings(now=was), Tunings())
    now = tuning.read(guest).now
    assert (now.disks, now.groups) == ({"vda": limits}, {"vda": "fast"})


def test_other_limits_leave_a_disk_in_its_group(libvirtd: TestDriverHost, guest: Guest) -> None:
    was = Tuning(disks={"vda": {"total_bytes_sec": 5, "total_bytes_sec_max": 9}}, groups={"vda": "fast"})
    tuning.apply(libvirtd.connection, guest, Tunings(now=was), Tunings())
    wanted = Tuning(disks={"vda": {"total_bytes_sec": 7, "total_bytes_sec_max": 9}})
    tuning.apply(libvirtd.connection, guest, Tunings(now=wanted), Tunings(now=was))
    now = tuning.read(guest).now
    assert (now.disks, now.groups) == (wanted.disks, {"vda": "fast"})
