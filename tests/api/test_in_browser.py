"""The page of tokens and the page about the API in Chromium: accessible, on a phone, with nothing from elsewhere."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import expect

from tests.axe import violations
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.api import tokens
from vmdash.api.models import TokenScope

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)

PHONE = {"width": 360, "height": 740}


async def test_a_token_is_made_and_withdrawn(web: Web, viewer: User) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/account/")
        await page.get_by_role("link", name="My tokens").click()
        await page.get_by_label("What it is for").fill("the backup script on the old machine in the cellar")
        await page.get_by_role("button", name="Make it").click()
        await expect(page.get_by_text("never shown again")).to_be_visible()
        assert await violations(page) == []
        await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        await page.get_by_role("button", name="Withdraw").click()
        await expect(page.get_by_text("nobody comes in with it")).to_be_visible()


async def test_the_page_about_the_api_works_under_our_policy(web: Web, viewer: User) -> None:
    made = sync_to_async(tokens.make)
    _, text = await made(user=viewer, name="x", scope=TokenScope.READ, until=None)
    refused, elsewhere = [], []
    async with browser_page(web, viewer) as page:
        page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: elsewhere.append(request.url) if web.url not in request.url else None)
        await page.goto("/api/v1/docs")
        await page.get_by_role("button", name="Authorize").first.click()
        await page.get_by_label("auth-bearer-value").fill(text)
        await page.get_by_role("button", name="Apply credentials").click()
        await page.get_by_role("button", name="Close").first.click()
        await page.locator("#operations-hosts-list_hosts").click()
        await page.get_by_role("button", name="Try it out").click()
        await page.get_by_role("button", name="Execute").click()
        await expect(page.locator(".live-responses-table tbody .response-col_status")).to_contain_text("200")
    assert refused == []
    assert [url for url in elsewhere if not url.startswith("data:")] == []
