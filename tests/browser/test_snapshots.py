"""A snapshot is taken, reverted to and deleted in a real browser; what is on the guest's disk is what counts."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.product import Product
from vmdash.lab.qemu_host import QemuHost

GUEST = "mail1"
JOB_MS = 90_000


def open_part(page: Page, product: Product, link: str) -> None:
    """One part of the guest's page."""
    page.goto(f"{product.url}/domains/?q={GUEST}")
    page.get_by_role("link", name=GUEST, exact=True).click()
    page.get_by_role("link", name=link, exact=True).click()


def answer(page: Page, product: Product, command: str, words: str) -> None:
    """What the guest answers on its serial console."""
    open_part(page, product, "Serial console")
    expect(page.locator("#console")).to_have_attribute("data-state", "open", timeout=20_000)
    page.keyboard.type(f"\nclear; {command}\n")
    expect(page.locator("#terminal")).to_contain_text(words, timeout=30_000)


def test_a_guest_goes_back_to_a_snapshot_of_its_disk(
    sign_in: Callable[[str], Page], product: Product, booted: Callable[[str, str], QemuHost]
) -> None:
    host = booted("kvm2", GUEST)
    page = sign_in("operator")
    answer(page, product, "echo 1 >/data/early; sync; echo written $((6 * 7))", "written 42")

    open_part(page, product, "Snapshots")
    expect(page.get_by_role("heading", name="No snapshots")).to_be_visible()
    page.get_by_role("link", name="Take a snapshot…").click()
    page.get_by_label("Disks only").check()
    page.get_by_label("Note").fill("before the update")
    page.get_by_label("Note").press("Tab")
    expect(page.get_by_role("button", name="Show its name")).to_be_hidden()
    expect(page.locator("#summary")).to_contain_text("-before-the-update")
    page.get_by_role("button", name="Take the snapshot").click()
    row = page.get_by_role("row").filter(has_text="-before-the-update").filter(has_text="disks only")
    expect(row).to_contain_text("you are here", timeout=JOB_MS)
    expect(row).to_contain_text("frozen by the agent")

    answer(page, product, "echo 2 >/data/late; sync; echo $(cat /data/early /data/late) there", "1 2 there")

    open_part(page, product, "Snapshots")
    row.get_by_role("link", name="Revert").click()
    page.get_by_label("To go on, type the name").fill(GUEST)
    page.get_by_role("button", name="Revert", exact=True).click()
    expect(page.get_by_text("Asked for: Revert mail1")).to_be_visible()
    expect(page.locator("#snapshots .jobs")).to_have_count(0, timeout=JOB_MS)

    booted("kvm2", GUEST)
    answer(page, product, "echo $(cat /data/early; ls /data/late 2>/dev/null || echo late is gone)", "1 late is gone")

    open_part(page, product, "Snapshots")
    row.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="No snapshots")).to_be_visible(timeout=JOB_MS)
    assert "mail1.qcow2" in host.virsh("domblklist", GUEST)
