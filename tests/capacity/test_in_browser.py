"""The capacity page in a real browser: by keyboard, by its forms, and as it is printed."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.factories import DomainFactory, HostFactory
from tests.web import Web, browser_page
from vmdash.access.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


expect.set_options(timeout=20_000)


@pytest.fixture
def fleet(transactional_db: None) -> None:
    for number in (1, 2):
        DomainFactory.create(name=f"web{number}", host=HostFactory.create(name=f"kvm{number}"))


async def test_a_question_is_asked_and_answered(web: Web, viewer: User, fleet: None) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/")
        await page.keyboard.press("g")
        await page.keyboard.press("c")
        await expect(page.get_by_role("heading", name="Capacity", exact=True)).to_be_visible()
        await expect(page.get_by_text("The loss of any one host is survived.")).to_be_visible()
        await page.get_by_role("link", name="What if…").click()
        await page.get_by_label("Add guests").fill("100")
        await page.get_by_label("each like the guest").fill("web1")
        await page.get_by_role("button", name="Work it out").click()
        await expect(page.get_by_text("58 of 100 guests fit.")).to_be_visible()  # 2 × 30 of 512 MiB less the two there
        await expect(page).to_have_url(re.compile("guests=100&like_guest=web1"))


async def test_a_key_alone_goes_nowhere_right_after_a_page_has_come(web: Web, viewer: User, fleet: None) -> None:
    """The time of a key counts from when its page began: the first 1.5 s are no sign that `g` was pressed before."""
    async with browser_page(web, viewer) as page:
        await page.goto("/hosts/")
        moved = await page.evaluate(
            """() => {
              const early = (key) => {
                const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
                Object.defineProperty(event, "timeStamp", { value: 300 });
                document.body.dispatchEvent(event);
                return event.defaultPrevented;
              };
              return early("c");
            }"""
        )
        assert moved is False
        await expect(page).to_have_url(f"{web.url}/hosts/")


async def test_on_paper_there_is_no_navigation(web: Web, viewer: User, fleet: None) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/capacity/")
        await page.emulate_media(media="print")
        await expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
        await expect(page.get_by_role("link", name="What if…")).to_be_hidden()
        await expect(page.locator(".on-paper")).to_be_visible()
        width = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width == 0
