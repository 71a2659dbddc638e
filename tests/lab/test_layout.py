"""Where a fleet lives, and that two never meet."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from vmdash.lab import numa, packages
from vmdash.lab.catalogue import GUESTS, HOSTS, Disk, Power
from vmdash.lab.layout import Lab


def test_port_ranges_of_neighbouring_fleets_and_hosts_do_not_overlap() -> None:
    labs = [Lab(Path("/a"), Path("/b"), net) for net in (1, 2)]

    for kind in (Lab.vnc_ports, Lab.websocket_ports, Lab.migration_ports):
        ranges = sorted(kind(lab, host.number) for lab in labs for host in HOSTS)
        assert all(before[1] < after[0] for before, after in pairwise(ranges))


def test_port_ranges_stay_valid_for_every_fleet() -> None:
    highest = max(
        kind(Lab(Path("/a"), Path("/b"), net), 3)[1]
        for net in range(1, 255)
        for kind in (Lab.vnc_ports, Lab.websocket_ports, Lab.migration_ports)
    )

    assert highest < 65536


def test_the_same_name_has_the_same_uuid_in_one_fleet_and_another_in_the_next() -> None:
    one, two = Lab(Path("/a"), Path("/b"), 1), Lab(Path("/a"), Path("/b"), 2)

    assert one.uuid("web1") == one.uuid("web1") != two.uuid("web1")


@pytest.mark.parametrize("net", ["0", "255", "one"])
def test_an_address_block_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, net: str) -> None:
    monkeypatch.setenv("VMDASH_LAB_NET", net)

    with pytest.raises(ImproperlyConfigured, match="VMDASH_LAB_NET"):
        Lab.from_environment()


def test_the_catalogue_has_what_the_dashboard_wants_to_show() -> None:
    assert len({guest.name for guest in GUESTS}) == len({guest.number for guest in GUESTS}) == len(GUESTS) >= 9
    assert sum(guest.power is Power.OFF for guest in GUESTS) >= 2
    assert sum(guest.power is Power.PAUSED for guest in GUESTS) == 1
    assert sum(guest.burns for guest in GUESTS) == 2
    assert {guest.disk for guest in GUESTS} == set(Disk)


def test_a_missing_package_is_named() -> None:
    assert packages.missing(("dpkg", "no-such-package")) == ("no-such-package",)


@pytest.mark.parametrize(("cpus", "mask"), [([0], "00000001"), ([1, 2, 3], "0000000e"), ([32], "00000001,00000000")])
def test_cpu_masks_are_written_as_the_kernel_writes_them(cpus: list[int], mask: str) -> None:
    assert numa.mask(cpus) == mask
