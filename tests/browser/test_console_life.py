"""What a console's page does when things change: the guest goes and comes, somebody else wants the line."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.product import Product
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost

Booted = Callable[[str, str], QemuHost]
ConsoleOf = Callable[[str, str, str], Page]


@pytest.fixture
def console_of(browser: Browser, product: Product, lab: Lab) -> Iterator[ConsoleOf]:
    """Opens a console's page in the browser of one of the accounts: `console_of("helpdesk", "web1", "serial")`."""
    contexts: dict[str, BrowserContext] = {}

    def open_page(account: str, guest: str, kind: str) -> Page:
        is_new = account not in contexts
        if is_new:
            contexts[account] = browser.new_context()
        page = contexts[account].new_page()
        where = f"{product.url}/domains/{lab.uuid(guest)}/{kind}/"
        page.goto(where)
        if is_new:
            page.get_by_label("Name").fill(account)
            page.get_by_label("Password").fill(product.accounts[account])
            page.get_by_role("button", name="Sign in", exact=True).click()
            page.wait_for_url(where)
        return page

    yield open_page
    for context in contexts.values():
        context.close()


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#console")).to_have_attribute("data-state", state, timeout=30_000)


def test_a_guest_is_started_from_its_console_which_opens_then_and_says_when_the_guest_goes(
    console_of: ConsoleOf, lab_hosts: dict[str, QemuHost]
) -> None:
    page = console_of("helpdesk", "backup1", "console")
    expect_state(page, "off")
    page.get_by_role("button", name="Start").click()
    try:
        expect_state(page, "open")
    finally:
        lab_hosts["kvm2"].virsh("destroy", "backup1")
    expect_state(page, "off")
    expect(page.locator(".notice")).to_contain_text("backup1 is")


def test_a_serial_console_is_taken_over_and_its_first_holder_is_told(console_of: ConsoleOf, booted: Booted) -> None:
    booted("kvm1", "web2")
    first = console_of("helpdesk", "web2", "serial")
    expect_state(first, "open")
    second = console_of("operator", "web2", "serial")
    expect_state(second, "in-use")
    second.get_by_role("button", name="Take it over").click()
    expect_state(second, "open")
    expect_state(first, "in-use")
    second.keyboard.type("\necho mine $((6 * 7))\n")
    expect(second.locator("#terminal")).to_contain_text("mine 42")


def test_text_with_every_printable_character_is_typed_into_the_screen(console_of: ConsoleOf, booted: Booted) -> None:
    """The screen's shell writes what was typed to the serial line, where it can be read."""
    booted("kvm2", "mail1")
    characters = string.ascii_letters + string.digits + string.punctuation
    screen = console_of("helpdesk", "mail1", "console")
    expect_state(screen, "open")
    serial = console_of("helpdesk", "mail1", "serial")
    expect_state(serial, "open")
    screen.bring_to_front()
    screen.get_by_role("button", name="Type text…").click()
    screen.get_by_label("Text", exact=True).fill(f"\ncat >/dev/ttyS0 <<'EOF'\n{characters}\nEOF\n")
    screen.get_by_label("Speed").select_option("200")
    screen.get_by_role("button", name="Type it").click()
    expect(screen.locator("#paste")).to_be_hidden(timeout=60_000)
    expect(serial.locator("#terminal")).to_contain_text(characters, timeout=20_000)
