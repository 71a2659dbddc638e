"""Both consoles of a guest, in a real browser: what is typed arrives, and the guest's answer can be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.polling import poll
from tests.product import Product
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]
Booted = Callable[[str, str], QemuHost]

PIXEL = """() => {
    const canvas = document.querySelector("#screen canvas");
    return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3);
}"""
"""The colour in the middle of the guest's screen: [red, green, blue]."""


def is_blue(colour: list[int]) -> bool:
    red, green, blue = colour
    return red == green == 0 and blue > 100


@pytest.fixture
def open_console(sign_in: SignIn, product: Product) -> Callable[[str, str], Page]:
    """Opens a guest's page as help desk and then one of its consoles, and waits until that is connected."""

    def open_console(guest: str, link: str) -> Page:
        page = sign_in("helpdesk")
        page.goto(f"{product.url}/domains/?q={guest}")
        page.get_by_role("link", name=guest, exact=True).click()
        page.get_by_role("link", name=link, exact=True).click()
        expect(page.locator("#console")).to_have_attribute("data-state", "open", timeout=20_000)
        return page

    return open_console


def test_a_command_typed_into_the_serial_console_is_answered(
    open_console: Callable[[str, str], Page], booted: Booted
) -> None:
    booted("kvm2", "wiki")
    page = open_console("wiki", "Serial console")
    page.keyboard.type("\necho it is $((6 * 7)) here\n")
    expect(page.locator("#terminal")).to_contain_text("it is 42 here")


def test_the_serial_console_of_a_host_behind_ssh_works_too(
    open_console: Callable[[str, str], Page], booted: Booted
) -> None:
    booted("kvm3", "queue1")
    page = open_console("queue1", "Serial console")
    page.keyboard.type("\nhostname | tr a-z A-Z\n")
    expect(page.locator("#terminal")).to_contain_text("QUEUE1")


@pytest.mark.parametrize(("host", "guest"), [("kvm1", "web1"), ("kvm3", "queue1")])
def test_a_command_typed_into_the_screen_is_answered(
    open_console: Callable[[str, str], Page], booted: Booted, host: str, guest: str
) -> None:
    """The guest paints its screen in a colour, which is read from the picture that comes back."""
    booted(host, guest)
    page = open_console(guest, "Screen")
    page.keyboard.type("\nprintf '\\033[44m'; clear\n", delay=30)
    poll(lambda: is_blue(page.evaluate(PIXEL)), deadline_s=15, what="the guest's screen to turn blue")
    page.keyboard.type("reset\n", delay=30)
