"""The whole product on the practice fleet, and Debian's Chromium to look at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.product import Product, running_product
from vmdash.lab.layout import Lab

expect.set_options(timeout=15_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def product(lab: Lab) -> Iterator[Product]:
    """vmdash with the practice fleet's hosts and the demo's accounts."""
    with running_product(lab) as product:
        yield product


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module: while it lives, Playwright's event loop occupies this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own. An error in its scripts fails the test, and so does a refused resource."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(f"{said.text} {said.location}") if said.type == "error" else None)
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def sign_in(page: Page, product: Product) -> Callable[[str], Page]:
    """Signs one of the accounts in; afterwards the fleet page is open, or for help desk the desk."""

    def sign_in(name: str) -> Page:
        page.goto(f"{product.url}/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(product.accounts[name])
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url(f"{product.url}/desk/" if name == "helpdesk" else f"{product.url}/")
        return page

    return sign_in
