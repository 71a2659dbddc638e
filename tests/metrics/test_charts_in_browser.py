"""Charts in a real browser: the range, a part of it, what comes live, pictures."""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import sync_to_async
from PIL import Image
from playwright.async_api import Page, expect

from bench.past import guest_past, write
from domains.models import Domain
from tests.factories import DomainFactory, HostFactory
from tests.ticks import guest_sample, write_tick
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.live import groups
from vmdash.live.publish import publish

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("victoria_metrics"),
]
expect.set_options(timeout=20_000)


@pytest.fixture
def guest(transactional_db: None, victoria_metrics: str) -> Domain:
    """It has been recorded until ten minutes ago."""
    found = DomainFactory.create(name="web1", host=HostFactory.create(name="kvm1"), vcpus=2, max_vcpus=2)
    now = int(time.time())
    write(victoria_metrics, guest_past("kvm1", str(found.pk), "web1", now - 3000, now - 600))
    return found


async def drawn(page: Page) -> None:
    await page.locator("#charts[aria-busy=false]").wait_for()


async def test_the_range_is_chosen_without_loading_the_page_and_stands_in_the_address(
    web: Web, guest: Domain, viewer: User
) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/")
        await drawn(page)
        await expect(page.locator("[data-chart] canvas")).to_have_count(9)
        await expect(page.locator("[data-chart=cpu] .u-legend")).to_contain_text("steal")
        await page.evaluate("window.same = true")
        await page.get_by_role("link", name="Day", exact=True).click()
        await drawn(page)
        assert page.url.endswith("?range=day")
        await expect(page.get_by_role("link", name="Day", exact=True)).to_have_attribute("aria-current", "page")
        assert "charts.csv?range=day" in (await page.get_by_role("link", name="CSV").get_attribute("href") or "")
        await page.go_back()
        await expect(page.get_by_role("link", name="Hour", exact=True)).to_have_attribute("aria-current", "page")
        assert await page.evaluate("window.same")


async def test_a_part_is_drawn_on_one_chart_and_shown_by_all(web: Web, guest: Domain, viewer: User) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/")
        await drawn(page)
        box = await page.locator("[data-chart=cpu] .u-over").bounding_box()
        assert box
        await page.mouse.move(box["x"] + 60, box["y"] + 40)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 160, box["y"] + 40, steps=5)
        await expect(page.locator("[data-chart=memory] .u-legend")).to_contain_text(":")  # the cursor is everywhere
        await page.mouse.up()
        await page.wait_for_url("**from=*to=*")
        await drawn(page)
        await page.get_by_role("link", name="Back", exact=True).click()
        await page.wait_for_url("**range=hour")


async def test_without_a_mouse(web: Web, guest: Domain, viewer: User) -> None:
    """Along a chart, with what is there said and shown on all; a part of it finer, and back."""
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/?range=hour")
        await drawn(page)
        chart, said = page.get_by_role("application", name="CPU and steal"), page.locator("[data-said]")
        other = page.locator("[data-chart=memory] .u-legend .u-series").first
        await chart.focus()
        await page.keyboard.press("ArrowLeft")  # begins at the newest point
        await expect(said).to_have_text(re.compile(r"^\S+: CPU [\d.]+ %, steal [\d.]+ %$"))
        newest = await said.text_content()
        await page.keyboard.press("ArrowLeft")
        await expect(said).not_to_have_text(newest or "")
        moment = (await said.text_content() or "").split(": ")[0]
        await expect(other).to_contain_text(moment)
        await page.keyboard.press("ArrowRight")
        await expect(said).to_have_text(newest or "")
        for _ in range(40):
            await page.keyboard.press("Shift+ArrowLeft")
        await expect(said).to_contain_text("Marked from")
        assert await chart.locator(".u-select").evaluate("(part) => part.offsetWidth") > 20
        await page.keyboard.press("Escape")  # drops what was marked
        assert await chart.locator(".u-select").evaluate("(part) => part.offsetWidth") == 0
        assert page.url.endswith("?range=hour")
        for _ in range(40):
            await page.keyboard.press("Shift+ArrowRight")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**from=*to=*")
        asked = parse_qs(urlsplit(page.url).query)
        assert int(asked["to"][0]) - int(asked["from"][0]) == pytest.approx(40 * 15, abs=2)
        await drawn(page)
        await expect(chart).to_be_focused()
        await page.keyboard.press("Escape")
        await page.wait_for_url("**range=hour")
        await drawn(page)
        await page.keyboard.press("End")
        await page.keyboard.press("Tab")
        await expect(other).not_to_contain_text(":")  # the cursor goes with the focus


async def test_the_hour_goes_on_with_each_tick(web: Web, guest: Domain, viewer: User) -> None:
    await sync_to_async(write_tick)(guest.host)
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/")
        await drawn(page)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        for cpu in (61, 73):
            tick = await sync_to_async(write_tick)(guest.host, {guest: guest_sample(cpu=cpu, steal=9)})
            await publish([groups.host(guest.host_id)], tick)
            await expect(page.locator("[data-chart=cpu] .u-legend")).to_contain_text(f"{cpu} %")


async def test_a_chart_is_saved_as_a_picture(web: Web, guest: Domain, viewer: User, tmp_path: Path) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/")
        await drawn(page)
        async with page.expect_download() as download:
            await page.locator("[data-chart=disk] [data-png]").click()
        found = await download.value
        assert found.suggested_filename == "web1-Disks.png"
        await found.save_as(tmp_path / "disks.png")
    colors = Image.open(tmp_path / "disks.png").convert("RGB").getcolors(maxcolors=100_000)
    assert colors and len(colors) > 20


async def test_charts_of_which_nothing_is_known_say_so(web: Web, guest: Domain, viewer: User) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/?from=1600000000&to=1600003600")
        await drawn(page)
        await expect(page.get_by_text("Nothing is known of this time.").first).to_be_visible()
