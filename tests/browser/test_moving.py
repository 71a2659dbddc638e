"""A guest is moved in a real browser: its bar moves, it arrives, and a move that is cancelled changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]
GUEST = "web2"


@pytest.fixture
def uuid(lab_hosts: dict[str, QemuHost], booted: Callable[[str, str], QemuHost]) -> Iterator[str]:
    """The guest, at home on kvm1 before and afterwards."""
    kvm1, kvm2 = booted("kvm1", GUEST), lab_hosts["kvm2"]
    yield kvm1.virsh("domuuid", GUEST).strip()
    with suppress(LabError):  # it is not there
        options = ["--live", "--p2p", "--persistent", "--undefinesource", "--unsafe"]
        kvm2.virsh("migrate", *options, GUEST, kvm1.migration_uri)


@pytest.fixture
def begin(sign_in: SignIn, product: Product, uuid: str) -> Callable[[int], Page]:
    """Begins to move the guest to kvm2, with so many MiB/s."""

    def begin(bandwidth_mib_s: int) -> Page:
        page = sign_in("operator")
        page.goto(f"{product.url}/domains/{uuid}/migrate/")
        expect(page.locator("#targets").get_by_role("status")).to_contain_text("Checked", timeout=60_000)
        button = page.get_by_role("button", name="Move to kvm2")
        expect(page.locator("article[data-host=kvm2] ul.checks")).not_to_contain_text("failed:")
        page.get_by_label("Bandwidth").fill(str(bandwidth_mib_s))
        button.click()
        return page

    return begin


def test_a_guest_moves_while_its_bar_moves(begin: Callable[[int], Page]) -> None:
    page = begin(12)
    bar = page.locator("#moving .meter .busy")
    expect(bar).to_have_attribute("width", re.compile(r"^[1-4]?\d\."), timeout=30_000)
    expect(bar).to_have_attribute("width", re.compile(r"^[5-9]\d\."), timeout=30_000)
    expect(page.locator("#where")).to_contain_text("kvm2", timeout=60_000)
    expect(page.locator("#moves tbody tr").first).to_contain_text("moved")


def test_a_move_is_cancelled(begin: Callable[[int], Page], lab_hosts: dict[str, QemuHost]) -> None:
    page = begin(1)
    expect(page.locator("#moving").get_by_role("status")).to_contain_text("%", timeout=30_000)
    page.get_by_role("button", name="Cancel the move").click()
    expect(page.locator("#live").get_by_role("status").first).to_contain_text("cancelled", timeout=30_000)
    assert lab_hosts["kvm1"].virsh("domstate", GUEST).strip() == "running"
