"""The pages of webhooks in Chromium: accessible, and on a phone."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from playwright.async_api import expect

from tests.axe import fits, violations
from tests.domains.test_desk_in_browser import PHONE
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.webhooks import services
from vmdash.webhooks.models import Delivery, Webhook

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)


def two_webhooks(owner: User) -> Webhook:
    fields = {"owner": owner, "secret": services.new_secret(), "topics": ["alert", "job.finished"]}
    Webhook.objects.create(
        name="old", url="https://hooks.example.org/" + "a" * 150, enabled=False,
        off_reason="Nothing arrived since 2026-11-20 08:00 UTC. Last: It answered 503.", **fields,
    )  # fmt: skip
    webhook = Webhook.objects.create(name="chat", url="https://chat.example.org/hook", **fields)
    now = timezone.now()
    services.send_test(webhook=webhook, user=owner)
    one = services.send_test(webhook=webhook, user=owner)
    Delivery.objects.filter(pk=one.pk).update(attempts=1, tried_at=now, sent_at=now, status=204, took_ms=31)
    return webhook


async def test_accessible_and_usable_on_a_phone(web: Web, operator: User) -> None:
    webhook = await sync_to_async(two_webhooks)(operator)
    async with browser_page(web, operator) as page:
        for size in (PHONE, {"width": 1280, "height": 800}):
            await page.set_viewport_size({"width": size["width"], "height": size["height"]})
            for path in ("/webhooks/", f"/webhooks/{webhook.pk}/", "/webhooks/add/"):
                await page.goto(path)
                await expect(page.get_by_role("heading", level=1)).to_be_visible()
                assert await violations(page) == [], path
                assert await fits(page), f"{path} at {size['width']} px"
        await page.locator("#id_name").fill("new")
        await page.locator("#id_url").fill("https://chat.example.org/new")
        await page.get_by_role("button", name="Make it").click()
        await expect(page.get_by_text("it is not shown again")).to_be_visible()
        assert (await page.locator("#secret").inner_text()).startswith("whsec_")
        assert await violations(page) == []


async def test_what_came_of_a_test_shows_by_itself(web: Web, operator: User) -> None:
    webhook = await sync_to_async(two_webhooks)(operator)
    async with browser_page(web, operator) as page:
        await page.goto(f"/webhooks/{webhook.pk}/")
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.get_by_text("A test is on its way")).to_be_visible()
        told = page.locator("#deliveries tbody tr")
        await expect(told).to_have_count(3)
        await Delivery.objects.filter(attempts=0).aupdate(
            attempts=1, tried_at=timezone.now(), status=503, error="It answered 503."
        )
        await expect(told.filter(has_text="503")).to_have_count(2)
