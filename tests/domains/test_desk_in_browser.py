"""The help desk's pages and the guest page in Chromium: accessible, on a phone, without a mouse, without JavaScript."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from playwright.async_api import expect

from domains.models import Domain, DomainState
from domains.rows import guest_row
from hosts.models import Host
from tests.axe import fits, violations
from tests.factories import DomainFactory, HostFactory
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.live import groups
from vmdash.live.publish import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)

PHONE = {"width": 360, "height": 740}


@pytest.fixture
def web1(transactional_db: None) -> Domain:
    host = HostFactory.create(name="kvm1", state=Host.State.UP, last_seen_at=timezone.now())
    DomainFactory.create(name="old", host=host, state=DomainState.SHUT_OFF)
    return DomainFactory.create(
        name="web1-of-the-shop-in-the-main-building-of-zurich", host=host, state=DomainState.RUNNING,
        addresses=["10.0.0.7"], agent=Domain.Agent.CONNECTED, logged_in=[{"name": "anna", "since": None}],
        owner="Lena Roth", note="The shop needs it: ask before you stop it.",
    )  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_accessible_and_usable_on_a_phone(web: Web, help_desk: User, web1: Domain, scheme: str) -> None:
    async with browser_page(web, help_desk) as page:
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for size in ({"width": 1280, "height": 800}, PHONE):
            await page.set_viewport_size({"width": size["width"], "height": size["height"]})
            for path in ("/desk/", "/desk/?q=web1", f"/desk/{web1.pk}/shutdown/", f"/domains/{web1.pk}/"):
                await page.goto(path)
                await expect(page.get_by_role("heading", level=1)).to_be_visible()
                await expect(page.locator("#charts[aria-busy=true]")).to_have_count(0)  # faded while they come
                assert await violations(page) == [], path
                assert await fits(page), f"{path} at {size['width']} px"


async def test_without_a_mouse(web: Web, help_desk: User, web1: Domain) -> None:
    async with browser_page(web, help_desk) as page:
        await page.goto("/desk/")
        await expect(page.get_by_label("Which guest?")).to_be_focused()
        await page.keyboard.type("web1")
        await page.keyboard.press("Enter")
        await expect(page.locator("article")).to_have_count(1)
        await page.get_by_role("link", name="Shut down").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Tell them first")).to_be_visible()
        await page.get_by_role("button", name="Shut down", exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Asked for: Shut down")).to_be_visible()
    assert await Job.objects.filter(kind="domain.shutdown").acount() == 1


async def test_without_javascript(web: Web, help_desk: User, web1: Domain) -> None:
    async with browser_page(web, help_desk, java_script_enabled=False) as page:
        await page.goto("/desk/?q=old")
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_text("Asked for: Start old")).to_be_visible()
    assert await Job.objects.filter(kind="domain.start").acount() == 1


async def test_a_card_follows_its_guest(web: Web, help_desk: User, web1: Domain) -> None:
    async with browser_page(web, help_desk) as page:
        await page.goto("/desk/?q=web1")
        await expect(page.locator("article")).to_contain_text("Running")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await Domain.objects.filter(pk=web1.pk).aupdate(state=DomainState.SHUT_OFF)
        guest = await Domain.objects.select_related("host").aget(pk=web1.pk)
        row = await sync_to_async(guest_row)(guest)
        await publish([groups.FLEET], {"type": "guest", "row": row})
        await expect(page.locator("article")).to_contain_text("Off")
        await expect(page.get_by_role("button", name="Start")).to_be_visible()
