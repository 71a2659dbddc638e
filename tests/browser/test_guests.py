"""What people do with guests, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.product import Product
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]


def line_of(page: Page, product: Product, guest: str) -> Locator:
    """The guest's line in the guests table."""
    page.goto(f"{product.url}/domains/")
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=guest, exact=True))


def open_guest(page: Page, product: Product, guest: str) -> None:
    line_of(page, product, guest).get_by_role("link", name=guest, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(guest)


def test_a_wrong_password_is_refused(page: Page, product: Product) -> None:
    page.goto(product.url)
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("guessed")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("not right")


def test_a_change_made_with_virsh_appears_by_itself(
    sign_in: SignIn, product: Product, lab_hosts: dict[str, QemuHost]
) -> None:
    line = line_of(sign_in("viewer"), product, "web2")
    expect(line).to_contain_text("running")
    lab_hosts["kvm1"].virsh("suspend", "web2")
    try:
        expect(line).to_contain_text("paused", timeout=2_000)
    finally:
        lab_hosts["kvm1"].virsh("resume", "web2")
    expect(line).to_contain_text("running", timeout=2_000)


def test_the_fleet_page_shows_every_host(sign_in: SignIn) -> None:
    page = sign_in("viewer")
    for host in ("kvm1", "kvm2", "kvm3"):
        expect(page.get_by_role("link", name=host, exact=True).first).to_be_visible()


def test_an_operator_starts_a_guest_and_forces_it_off(sign_in: SignIn, product: Product) -> None:
    page = sign_in("operator")
    open_guest(page, product, "legacy-erp")
    head = page.locator("#guest-head")
    expect(head).to_contain_text("shut off")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(head).to_contain_text("running")
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Force off").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Force off")).to_be_disabled()
    dialog.get_by_role("textbox").fill("legacy-erp")
    dialog.get_by_role("button", name="Force off").click()
    expect(head).to_contain_text("shut off")


def test_help_desk_may_shut_a_guest_down_but_not_force_it_off(sign_in: SignIn, product: Product) -> None:
    page = sign_in("helpdesk")
    open_guest(page, product, "web1")
    expect(page.get_by_role("button", name="Shut down", exact=True)).to_be_enabled()
    page.get_by_label("More actions").click()
    expect(page.get_by_role("button", name="Force off")).to_be_disabled()
    expect(page.locator("#guest-head")).to_contain_text("You may not force off")


def test_a_viewer_sees_but_cannot_act(sign_in: SignIn, product: Product) -> None:
    page = sign_in("viewer")
    open_guest(page, product, "web1")
    expect(page.get_by_role("button", name="Shut down", exact=True)).to_be_disabled()
    expect(page.get_by_role("link", name="Console")).to_have_count(0)
