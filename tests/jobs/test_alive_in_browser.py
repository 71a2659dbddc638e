"""Jobs in a real browser: bars that move, a log that grows, the panel below the pill."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from tests.factories import DomainFactory, JobFactory
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.jobs import transitions
from vmdash.jobs.context import JobContext
from vmdash.jobs.models import Job

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)

GIB = 1024**3


async def do(call: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    return await sync_to_async(call)(*args, **fields)


def advance(job: Job, quarters: int) -> None:
    """What a running job says of itself."""
    JobContext(job, time_limit_s=60).transferred(quarters * GIB, 4 * GIB, rate_bytes_per_s=GIB)


async def live(page: Page) -> None:
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def settled(page: Page) -> None:
    """Wait until what the page loads anew after its first messages has come."""
    await live(page)
    await page.wait_for_load_state("networkidle")


async def test_the_bar_of_a_job_moves_without_drawing_the_page_anew(web: Web, operator: User) -> None:
    job = await do(JobFactory.create, state="running", requested_by=operator, label="Copy web1")
    async with browser_page(web, operator) as page:
        await page.goto(f"/jobs/{job.pk}/")
        await settled(page)
        await do(advance, job, 1)
        bar = page.locator("#live .meter .busy")
        await expect(bar).to_have_attribute("width", "25.0")
        await settled(page)
        await page.evaluate("document.querySelector('#live .meter').dataset.same = 'yes'")
        await do(advance, job, 3)
        await expect(bar).to_have_attribute("width", "75.0")
        await expect(page.locator("#live")).to_contain_text("3 GiB of 4 GiB · 1 GiB/s · 1 s left")
        await expect(page.locator("#live .meter")).to_have_attribute("data-same", "yes")
        await do(JobContext(job, time_limit_s=60).log, "Copying <vda>")
        await expect(page.get_by_role("listitem").filter(has_text="Copying <vda>")).to_have_count(1)
        await do(transitions.succeed, job, {})
        await expect(page.locator("#live").get_by_role("status")).to_contain_text("done")
        await expect(page.get_by_role("listitem").filter(has_text="Copying <vda>")).to_have_count(1)


async def test_the_list_follows_too_and_its_parts_stay_open(web: Web, operator: User) -> None:
    whole = await do(JobFactory.create, state="running", kind="host.drain", label="Drain kvm1")
    part = await do(JobFactory.create, state="running", parent=whole, label="Move web1")
    async with browser_page(web, operator) as page:
        await page.goto("/jobs/")
        await settled(page)
        await page.get_by_text("1 part: 1 running").click()
        await do(advance, part, 2)
        await expect(page.get_by_role("row", name=re.compile("Move web1")).last).to_contain_text("2 GiB of 4 GiB")
        await do(transitions.succeed, part, {})
        await expect(page.get_by_text("1 part: 1 done")).to_be_visible()
        await expect(page.get_by_role("link", name="Move web1")).to_be_visible()


@pytest.mark.parametrize("role", [Role.HELP_DESK, Role.OPERATOR])
async def test_the_panel_shows_ones_own_jobs_on_every_page(web: Web, role: Role, viewer: User) -> None:
    user = viewer
    user.role = role
    await user.asave()
    async with browser_page(web, user) as page:
        await page.goto("/domains/")
        await live(page)
        pill = page.get_by_role("button", name=re.compile(r"\d+ jobs?"))
        await pill.focus()
        await page.keyboard.press("Space")
        panel = page.get_by_role("region", name="My jobs")
        await expect(panel).to_contain_text("You have no jobs at work")
        job = await do(JobFactory.create, requested_by=user, label="Start web1")
        await do(transitions.publish, job)
        await expect(panel.get_by_role("link", name="Start web1")).to_be_visible()
        await expect(pill).to_contain_text("1 job")
        await panel.get_by_role("button", name="Cancel Start web1").click()
        await expect(panel).to_contain_text("Ended a moment ago")
        await expect(panel).to_contain_text("cancelled")
        await page.keyboard.press("Escape")
        await expect(panel).to_be_hidden()
        await expect(pill).to_be_focused()
    assert (await Job.objects.aget()).state == "cancelled"


async def test_bars_move_in_the_panel(web: Web, help_desk: User) -> None:
    job = await do(JobFactory.create, requested_by=help_desk, state="running", label="Copy web1")
    async with browser_page(web, help_desk) as page:
        await page.goto("/")
        await live(page)
        await page.locator("#jobs-pill").click()
        await do(advance, job, 2)
        await expect(page.locator("#tray .task .busy[width]")).to_have_attribute("width", "50.0")
        await expect(page.locator("#tray")).to_contain_text("2 GiB of 4 GiB")
        await page.locator("main h1").click()
        await expect(page.locator("#tray")).to_be_hidden()


async def test_what_failed_is_tried_again_from_its_page(web: Web, operator: User) -> None:
    guest = await do(DomainFactory.create, name="web1", state="shut_off")
    job = await do(JobFactory.create, domain=guest, state="failed", requested_by=operator, error="No memory.")
    async with browser_page(web, operator) as page:
        await page.goto(f"/jobs/{job.pk}/")
        await live(page)
        await page.get_by_role("button", name="Try again: Start web1").click()
        await expect(page.locator("#live").get_by_role("status")).to_contain_text("waiting")
        await page.get_by_role("link", name="Start web1, failed").click()
        await expect(page).to_have_url(f"{web.url}/jobs/{job.pk}/")
