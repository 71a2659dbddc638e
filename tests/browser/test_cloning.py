"""A guest is cloned in a real browser: the page says beforehand what it makes, and the clone is there afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]
GUEST, CLONE = "backup1", "backup1-copy"


@pytest.fixture
def kvm2(lab_hosts: dict[str, QemuHost]) -> Iterator[QemuHost]:
    """Without the clone, before and afterwards."""
    host = lab_hosts["kvm2"]
    yield host
    with suppress(LabError):
        host.virsh("undefine", CLONE, "--remove-all-storage")


def test_a_guest_is_cloned(sign_in: SignIn, product: Product, kvm2: QemuHost) -> None:
    page = sign_in("operator")
    page.goto(f"{product.url}/domains/?q={GUEST}")
    page.get_by_role("link", name=GUEST, exact=True).click()
    page.get_by_role("link", name="Clone…", exact=True).click()
    page.get_by_label("Name", exact=True).fill(CLONE)
    expect(page.locator("#summary")).to_contain_text(f"{CLONE}.qcow2")
    page.get_by_role("button", name="Clone", exact=True).click()
    expect(page.locator("#live").get_by_role("status").first).to_contain_text("done", timeout=60_000)

    page.goto(f"{product.url}/domains/?q={CLONE}")
    page.get_by_role("link", name=CLONE, exact=True).click()
    expect(page.locator("#guest-head")).to_contain_text("kvm2")
    assert kvm2.virsh("domstate", CLONE).strip() == "shut off"
    assert kvm2.virsh("domuuid", CLONE) != kvm2.virsh("domuuid", GUEST)
    assert f"{CLONE}.qcow2" in kvm2.virsh("domblklist", CLONE)
