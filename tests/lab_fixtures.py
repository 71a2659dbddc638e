"""The practice fleet for tests: `lab` and what is in it. One fleet serves the whole test session.

Tests restore what they change. `VMDASH_LAB_DIR` and `VMDASH_LAB_NET` name another fleet, which may be up already;
`VMDASH_LAB_KEEP=1` leaves it up for the next session.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from tests.booting import wait_for_agent, wait_for_boot
from vmdash.lab import fleet
from vmdash.lab.layout import REPOSITORY, Lab
from vmdash.lab.qemu_host import QemuHost

_FIRST_NET = 20
"""Address blocks for tests start here, away from the demo's."""
_CLAIM_PORT = 2222
"""Whoever is bound to this port of a block's last address has the block; the kernel lets go of it in any case."""


@contextmanager
def spare_lab() -> Iterator[Lab]:
    """A fleet, not yet up, that no other test session on this machine uses meanwhile. Its files go afterwards."""
    for net in range(_FIRST_NET, 255):
        with socket.socket() as claim:
            try:
                claim.bind((f"127.0.{net}.254", _CLAIM_PORT))
            except OSError:
                continue
            lab = Lab(REPOSITORY / "var/lab-tests" / str(net), REPOSITORY / "var/cache/lab", net)
            fleet.down(lab, delete=True)  # what a killed session left
            try:
                yield lab
            finally:
                fleet.down(lab, delete=True)
            return
    raise RuntimeError("Other test sessions hold every address block.")


@contextmanager
def _chosen_lab() -> Iterator[Lab]:
    """The fleet that the environment names."""
    lab = Lab.from_environment()
    yield lab
    if os.environ.get("VMDASH_LAB_KEEP") != "1":
        fleet.down(lab)


_failed: list[str] = []
"""Tests that failed since the fleet was last looked after."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and item.get_closest_marker("lab"):
        _failed.append(item.nodeid)
    return report


@pytest.fixture(autouse=True)
def repaired_fleet(request: pytest.FixtureRequest) -> None:
    """What a failed test may have left dead or in the wrong place does not fail the next one."""
    if not _failed or "lab" not in request.fixturenames:
        return
    _failed.clear()
    lab: Lab = request.getfixturevalue("lab")
    fleet.down(lab)  # a guest may run on another host, which has its disk, or be half arrived on one
    fleet.up(lab, lambda sentence: None)
    wait_for_boot(fleet.qemu_hosts(lab))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The practice fleet, up and booted. (Guests that a test starts anew may still be booting: ask `booted`.)"""
    if os.geteuid() != 0:
        pytest.skip("The practice fleet needs root.")
    with _chosen_lab() if "VMDASH_LAB_DIR" in os.environ else spare_lab() as lab:
        fleet.up(lab, lambda sentence: None)
        wait_for_boot(fleet.qemu_hosts(lab))
        yield lab


@pytest.fixture(scope="session")
def lab_hosts(lab: Lab) -> dict[str, QemuHost]:
    """The fleet's hosts by name: kvm1 (TCP with SASL), kvm2 (TLS), kvm3 (SSH, two simulated NUMA cells)."""
    return {host.spec.name: host for host in fleet.qemu_hosts(lab)}


@pytest.fixture(scope="session")
def booted(lab_hosts: dict[str, QemuHost]) -> Callable[[str, str], QemuHost]:
    """Waits until a guest's agent answers: `booted("kvm1", "web1")`. Returns the host."""

    def wait(host_name: str, guest: str) -> QemuHost:
        host = lab_hosts[host_name]
        wait_for_agent(host, guest)
        return host

    return wait
