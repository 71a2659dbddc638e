"""The README's pictures, taken anew from the practice fleet: `make screenshots`."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.booting import wait_for_boot
from tests.lab_fixtures import spare_lab
from tests.product import Product, running_product
from vmdash.lab import fleet

PICTURES = Path(__file__).parent / "pictures"
HISTORY_MS = 240_000
"""How long figures are collected first, so that charts have something to show."""


def main() -> None:
    with spare_lab() as lab:
        fleet.up(lab, print)
        with running_product(lab) as product:
            wait_for_boot(fleet.qemu_hosts(lab))
            _take_pictures(product)


def _take_pictures(product: Product) -> None:
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        page.goto(product.url)
        page.get_by_label("Name").fill("operator")
        page.get_by_label("Password").fill(product.accounts["operator"])
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_timeout(HISTORY_MS)
        _take(page, "fleet", f"{product.url}/")
        _take(page, "guests", f"{product.url}/domains/")
        page.get_by_role("link", name="ci-7", exact=True).click()
        _take(page, "guest", page.url)
        page.get_by_role("link", name="Console", exact=True).click()
        page.locator("#console[data-state=open]").wait_for()
        page.keyboard.type("\nps | head\n", delay=30)
        _take(page, "console")
        browser.close()


def _take(page: Page, name: str, address: str = "") -> None:
    if address:
        page.goto(address)
    page.wait_for_timeout(5_000)  # the first figures after the page
    page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
