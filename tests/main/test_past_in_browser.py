"""The slider over time in a real browser."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest
from playwright.async_api import expect

from domains.models import GuestEvent
from hosts.models import HostEvent
from tests.factories import DomainFactory, HostFactory
from tests.web import Web, browser_page
from vmdash.access.models import User

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("victoria_metrics"),
]
expect.set_options(timeout=20_000)

NOW = int(time.time())


@pytest.fixture
def moved(transactional_db: None) -> None:
    """web1 was on kvm1 until six hours ago, and is on kvm2 since."""
    hosts = [HostFactory.create(name=name) for name in ("kvm1", "kvm2")]
    guest = DomainFactory.create(name="web1", host=hosts[1])
    for host in hosts:
        HostEvent.objects.create(host=host, at=datetime.fromtimestamp(NOW - 80_000, UTC), state="up")
    for ago, kind, host in ((80_000, "seen", hosts[0]), (21_600, "moved", hosts[1])):
        at = datetime.fromtimestamp(NOW - ago, UTC)
        GuestEvent.objects.create(uuid=guest.pk, name="web1", at=at, kind=kind, host_name=host.name, state="running")


async def test_the_slider_shows_each_moment_by_mouse_and_keyboard(web: Web, moved: None, viewer: User) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/")
        await page.get_by_role("slider", name="Moment").press("PageDown")
        await page.wait_for_url("**/?over=day&at=*")
        slider = page.get_by_role("slider", name="Moment")
        await expect(slider).to_be_focused()
        await expect(page.get_by_role("status").filter(has_text="This is the past")).to_be_visible()
        await page.evaluate("window.same = true")
        kvm1, kvm2 = (page.locator(".tile", has=page.get_by_role("link", name=name)) for name in ("kvm1", "kvm2"))
        await expect(kvm2).to_contain_text("web1")
        for _ in range(3):
            await slider.press("PageDown")
        await expect(kvm1).to_contain_text("web1")
        await expect(kvm2).not_to_contain_text("web1")
        await page.get_by_role("link", name="+1 h").click()
        await page.get_by_role("link", name="Week", exact=True).click()
        await expect(page).to_have_url(re.compile("over=week"))
        assert await page.evaluate("window.same")
        await page.get_by_role("link", name="Back to now").click()
        await expect(page.get_by_text("Needs attention")).to_be_visible()


async def test_the_slider_leads_back_to_now(web: Web, moved: None, viewer: User) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto(f"/?at={NOW - 3600}&over=day")
        await page.get_by_role("slider", name="Moment").press("End")
        await expect(page.get_by_text("Needs attention")).to_be_visible()
        assert "at=" not in page.url
