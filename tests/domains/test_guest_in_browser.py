"""The page of a guest in a real browser, while its figures change."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import expect

from domains.models import Domain
from tests.factories import DomainFactory, HostFactory
from tests.ticks import guest_sample, write_tick
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.live import groups
from vmdash.live.publish import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)
HALF_A_MINUTE_S = 31


@pytest.fixture
def guest(transactional_db: None) -> Domain:
    return DomainFactory.create(name="web1", host=HostFactory.create(name="kvm1"), vcpus=2, max_vcpus=2)


async def tell(guest: Domain, *, age_s: float = 0, **figures: int) -> None:
    """A round over its host."""
    sample = guest_sample() | figures
    tick = await sync_to_async(write_tick)(guest.host, {guest: sample}, age_s=age_s)  # type: ignore[dict-item]
    await publish([groups.host(guest.host_id)], tick)


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
