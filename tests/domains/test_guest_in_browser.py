"""The page of a guest in a real browser, while its figures change."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from domains.models import Domain
from tests.alerts.test_intake import told
from tests.factories import DomainFactory, HostFactory
from tests.ticks import guest_sample, write_tick
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.alerts import intake
from vmdash.live import groups
from vmdash.live.publish import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)
HALF_A_MINUTE_S = 31
SELDOM_MS = 60_000
"""Between rounds: none of them is so old that the page would load itself to say so."""


@pytest.fixture
def guest(transactional_db: None) -> Domain:
    return DomainFactory.create(name="web1", host=HostFactory.create(name="kvm1"), vcpus=2, max_vcpus=2)


async def tell(guest: Domain, *, age_s: float = 0, **figures: int) -> int:
    """A round over its host, and when that was."""
    guests = {guest: guest_sample() | figures} if guest.is_active else {}
    tick = await sync_to_async(write_tick)(guest.host, guests, age_s=age_s, interval_ms=SELDOM_MS)  # type: ignore[arg-type]
    await publish([groups.host(guest.host_id)], tick)
    return tick["at"]


async def watch(page: Page, address: str) -> list[str]:
    """Open it. Returns what it loads of itself from when it has all that it wants at first."""
    loads: list[str] = []
    await page.goto(address)
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await page.evaluate(
        "import('/static/js/live.js').then(({ live }) => live.on('tick', ({ at }) => { window.heard = at; }))"
    )
    await page.wait_for_load_state("networkidle")
    page.on("request", lambda request: loads.append(request.url) if request.url.endswith(address) else None)
    return loads


async def hears(page: Page, at: int) -> None:
    """Until it has got that round and has done what it does then."""
    await page.wait_for_function("at => window.heard === at", arg=at)


async def test_what_slows_a_guest_is_told_while_its_page_is_open(web: Web, guest: Domain, viewer: User) -> None:
    await tell(guest, age_s=HALF_A_MINUTE_S)
    async with browser_page(web, viewer) as page:
        await page.goto(f"/domains/{guest.pk}/")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await page.wait_for_load_state("networkidle")  # what the page reads once it is live has come
        await tell(guest, age_s=HALF_A_MINUTE_S, cpu=55)
        await expect(page.locator("#figures [data-show=cpu]")).to_have_text("55 %")  # ticks come
        await expect(page.locator("#troubles")).not_to_contain_text("swaps")
        await tell(guest, swap=3 * 1024**2)
        await expect(page.locator("#troubles")).to_contain_text("It swaps 3 MiB a second")


async def test_alerts_about_a_guest_that_is_off_come_and_go_too(web: Web, guest: Domain, viewer: User) -> None:
    guest.state = "shut_off"
    await guest.asave()
    await tell(guest, age_s=2 * HALF_A_MINUTE_S)
    async with browser_page(web, viewer) as page:
        loads = await watch(page, f"/domains/{guest.pk}/")
        await sync_to_async(intake.take)([told(summary="web1 does not start", uuid=str(guest.pk))])
        await hears(page, await tell(guest, age_s=1.5 * HALF_A_MINUTE_S))
        assert loads == []
        await tell(guest)
        await expect(page.locator("#troubles")).to_contain_text("web1 does not start")
        assert len(loads) == 1


async def test_the_cpu_part_is_read_anew_every_half_minute_and_at_once_with_what_slows_the_guest(
    web: Web, guest: Domain, viewer: User
) -> None:
    await tell(guest, age_s=HALF_A_MINUTE_S)
    async with browser_page(web, viewer) as page:
        loads = await watch(page, f"/domains/{guest.pk}/cpu/")
        await hears(page, await tell(guest, age_s=20, steal=1))
        assert loads == []
        await tell(guest, swap=3 * 1024**2, steal=2)
        await expect(page.locator("#troubles")).to_contain_text("It swaps 3 MiB a second")
        await expect(page.locator("#cpu")).to_contain_text("it loses 2 % of its CPU time")
        assert len(loads) == 1
