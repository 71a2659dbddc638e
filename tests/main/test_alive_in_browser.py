"""Pages that are alive, in a real browser: what the JavaScript does with live messages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from domains.models import Domain, DomainState
from domains.rows import guest_row
from hosts.announce import host_changed
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory
from tests.ticks import guest_sample, host_sample, write_tick
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.live import groups
from vmdash.live.publish import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)

MANY = 600


@pytest.fixture
def host(transactional_db: None) -> Host:
    return HostFactory.create(name="kvm1")


@pytest.fixture
def many(host: Host) -> list[Domain]:
    return Domain.objects.bulk_create(
        DomainFactory.build(name=f"guest{number:03}", host=host) for number in range(MANY)
    )


async def live(page: Page) -> None:
    """Wait until the page follows what happens."""
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def tell(message: dict[str, Any], *names: str) -> None:
    await publish(names, message)  # type: ignore[arg-type]


async def tell_of(guest: Domain) -> None:
    """What the collector says when a guest changed."""
    row = await sync_to_async(guest_row)(guest)
    await tell({"type": "guest", "row": row}, groups.FLEET, groups.host(guest.host_id))


async def test_only_the_lines_in_view_exist_and_every_guest_can_be_reached(
    web: Web, operator: User, many: list[Domain]
) -> None:
    async with browser_page(web, operator) as page:
        await page.goto("/domains/")
        await live(page)
        table = page.get_by_role("grid")
        await expect(table).to_have_attribute("aria-rowcount", str(MANY + 1))
        assert await page.locator("#lines tr").count() < 100
        await table.focus()
        await page.keyboard.press("End")
        await expect(page.get_by_role("link", name=f"guest{MANY - 1:03}", exact=True)).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"guest{MANY - 1:03}")


async def test_a_choice_survives_scrolling_and_is_acted_on_guest_by_guest(
    web: Web, operator: User, many: list[Domain]
) -> None:
    async with browser_page(web, operator) as page:
        await page.goto("/domains/")
        await live(page)
        await page.get_by_label("Choose guest001").check()
        await page.get_by_role("grid").focus()
        await page.keyboard.press("End")
        await expect(page.get_by_role("link", name=f"guest{MANY - 1:03}", exact=True)).to_be_in_viewport()
        await page.keyboard.press("Space")
        await page.keyboard.press("Home")
        await expect(page.locator("#selected")).to_have_text("2 chosen")
        await expect(page.get_by_label("Choose guest001")).to_be_checked()
        await page.get_by_role("button", name="Suspend").click()
        report = page.get_by_role("dialog")
        await expect(report.get_by_role("listitem")).to_have_count(2)
        await expect(report.get_by_role("listitem").first).to_contain_text("guest001 asked for")
    assert await Job.objects.filter(kind="domain.suspend").acount() == 2


async def test_what_destroys_something_is_confirmed_with_the_number(
    web: Web, operator: User, many: list[Domain]
) -> None:
    async with browser_page(web, operator) as page:
        await page.goto("/domains/")
        await live(page)
        for name in ("guest001", "guest002", "guest003"):
            await page.get_by_label(f"Choose {name}").check()
        await page.get_by_role("button", name="Force off").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("is lost")
        await expect(dialog.get_by_role("button", name="Force off")).to_be_disabled()
        await dialog.get_by_role("textbox").fill("3")
        await dialog.get_by_role("button", name="Force off").click()
        await expect(page.get_by_role("listitem").filter(has_text="asked for")).to_have_count(3)


async def test_search_and_order_stand_in_the_address(web: Web, viewer: User, many: list[Domain]) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/domains/")
        await live(page)
        await page.keyboard.press("/")
        await page.keyboard.type("name:guest01*")
        await expect(page.locator("#match")).to_have_text("10 guests")
        await page.get_by_role("columnheader", name="Name").get_by_role("link").click()
        await expect(page.locator("#lines tr").first).to_contain_text("guest019")
        await expect(page).to_have_url(re.compile(r"\?q=name%3Aguest01\*&sort=-name$"))
        await page.reload()
        await expect(page.locator("#lines tr").first).to_contain_text("guest019")
        await page.locator("#q").fill("nome:guest")
        await expect(page.get_by_role("alert")).to_contain_text("there is no field “nome”")


async def test_figures_and_states_change_by_themselves(web: Web, viewer: User, host: Host) -> None:
    guest = await sync_to_async(DomainFactory.create)(name="web1", host=host)
    async with browser_page(web, viewer) as page:
        await page.goto("/domains/")
        await live(page)
        line = page.get_by_role("row").filter(has_text="web1")
        await expect(line).to_contain_text("running")
        tick = await sync_to_async(write_tick)(host, {guest: guest_sample(cpu=57, steal=31)})
        await tell(dict(tick), groups.host(host.pk))
        await expect(line).to_contain_text("57 %")
        await expect(line.locator(".c-steal.bad")).to_have_text("31 %")
        guest.state, guest.state_reason = DomainState.PAUSED, "user"
        await guest.asave()
        await tell_of(guest)
        await expect(line).to_contain_text("paused by user")


async def test_a_guest_that_appears_is_listed_without_loading_again(web: Web, viewer: User, host: Host) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/domains/")
        await live(page)
        await expect(page.get_by_text("No guests yet")).to_be_visible()
        await tell_of(await sync_to_async(DomainFactory.create)(name="newborn", host=host))
        await expect(page.get_by_role("link", name="newborn", exact=True)).to_be_visible()


async def test_figures_that_stop_coming_are_shown_as_old(web: Web, viewer: User, host: Host) -> None:
    guest = await sync_to_async(DomainFactory.create)(name="web1", host=host)
    async with browser_page(web, viewer) as page:
        await page.goto("/domains/")
        await live(page)
        line = page.get_by_role("row").filter(has_text="web1")
        tick = await sync_to_async(write_tick)(host, {guest: guest_sample()}, interval_ms=500)
        await tell(dict(tick), groups.host(host.pk))
        await expect(line).to_contain_text("20 %")
        await expect(line).to_have_class(re.compile("stale"))


async def test_a_silent_host_dims_its_guests_and_says_since_when(web: Web, viewer: User, host: Host) -> None:
    await sync_to_async(DomainFactory.create)(name="web1", host=host)
    await sync_to_async(write_tick)(host)
    async with browser_page(web, viewer) as page:
        await page.goto("/domains/")
        await live(page)
        line = page.get_by_role("row").filter(has_text="web1")
        await expect(line).to_contain_text("running")
        await expect(line).not_to_have_class(re.compile("stale"))
        host.state = Host.State.UNREACHABLE
        await host.asave()
        await tell(dict(host_changed(host)), groups.FLEET)
        await expect(line).to_have_class(re.compile("stale"))
        await expect(line).to_contain_text(re.compile(r"\d+ s ago"))


async def test_the_fleet_follows_its_hosts(web: Web, viewer: User, host: Host) -> None:
    guest = await sync_to_async(DomainFactory.create)(name="db1", host=host)
    tick = await sync_to_async(write_tick)(host, {guest: guest_sample()})
    async with browser_page(web, viewer) as page:
        await page.goto("/")
        await live(page)
        tile = page.locator(f'.tile[data-host="{host.pk}"]')
        pulse = {"type": "pulse", "host": host.pk, "at": tick["at"], "interval_ms": tick["interval_ms"]}
        worst = [(str(guest.pk), "db1", 31.0)]
        sample = host_sample(cpu=73, steal=9)
        # As a collector does: a page that loads itself anew at this moment finds the same in the cache.
        await sync_to_async(write_tick)(host, {guest: guest_sample()}, sample=sample)
        await tell(pulse | {"sample": sample, "worst": worst}, groups.PULSES)
        await expect(tile).to_contain_text("73 %")
        await expect(tile).to_contain_text("steal 9 %")
        host.state, host.state_reason = Host.State.UNREACHABLE, "It hangs."
        await host.asave()
        await tell(dict(host_changed(host)), groups.FLEET)
        await expect(tile).to_contain_text("It hangs.")
        await expect(page.locator("#attention")).to_contain_text("kvm1 does not answer")


async def test_a_lost_connection_is_said_and_comes_back_by_itself(web: Web, viewer: User, host: Host) -> None:
    guest = await sync_to_async(DomainFactory.create)(name="web1", host=host)
    async with browser_page(web, viewer) as page:
        await page.goto("/domains/")
        await live(page)
        web.pause()
        await expect(page.locator("#connection")).to_contain_text("connection lost")
        guest.state = DomainState.CRASHED
        await guest.asave()
        await sync_to_async(web.resume)()
        await live(page)
        await expect(page.get_by_role("row").filter(has_text="web1")).to_contain_text("crashed")


async def test_a_role_that_is_withdrawn_works_on_an_open_page(web: Web, viewer: User, host: Host) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/")
        await live(page)
        viewer.role = ""
        await viewer.asave()
        await expect(page.locator("#connection")).to_contain_text("no access")
        await expect(page.get_by_role("alert")).to_contain_text("not permitted")
        await page.get_by_role("link", name="Load again").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You may not see anything yet")


async def test_the_keyboard_goes_everywhere(web: Web, viewer: User, host: Host) -> None:
    async with browser_page(web, viewer) as page:
        await page.goto("/")
        await live(page)
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
        await page.keyboard.press("Escape")
        for key, address in (("g", "/domains/"), ("h", "/hosts/"), ("j", "/jobs/"), ("f", "/")):
            await page.keyboard.press("g")
            await page.keyboard.press(key)
            await expect(page).to_have_url(f"{web.url}{address}")
            await live(page)


async def test_a_guest_that_is_off_turns_old_when_nobody_reads_its_host(web: Web, viewer: User, host: Host) -> None:
    guest = await sync_to_async(DomainFactory.create)(name="web1", host=host, state=DomainState.SHUT_OFF)
    async with browser_page(web, viewer) as page:
        tick = await sync_to_async(write_tick)(host, interval_ms=300)
        await page.goto("/domains/")
        await live(page)
        line = page.get_by_role("row").filter(has=page.get_by_role("link", name="web1", exact=True))
        await expect(line).to_have_class(re.compile(r"\bstale\b"))
        await expect(line.locator("time.age")).to_contain_text("ago")
        await tell({**tick, "at": tick["at"] + 3_600_000}, groups.host(guest.host_id))
        await expect(line).not_to_have_class(re.compile(r"\bstale\b"))


async def test_no_more_guests_are_chosen_than_can_be_acted_on_and_that_is_said_once(
    web: Web, operator: User, many: list[Domain]
) -> None:
    async with browser_page(web, operator) as page:
        await page.goto("/domains/")
        await live(page)
        await page.get_by_label("Choose all").check()
        await expect(page.locator("#selected")).to_have_text("500 chosen")
        await page.get_by_role("button", name="Dismiss").click()
        said = page.get_by_text("No more than 500 guests")
        await page.get_by_role("grid").focus()
        await page.keyboard.press("End")
        await page.keyboard.press("PageUp")
        last = page.locator("#lines tr").filter(has=page.get_by_role("link", name=f"guest{MANY - 1:03}", exact=True))
        await last.locator(".c-vcpus").click(modifiers=["Shift"])
        await expect(said).to_have_count(1)


async def test_enter_confirms_and_does_not_cancel(web: Web, operator: User, many: list[Domain]) -> None:
    async with browser_page(web, operator) as page:
        await page.goto("/domains/")
        await live(page)
        await page.get_by_label("Choose guest001").check()
        await page.get_by_role("button", name="Force off").click()
        number = page.get_by_role("dialog").get_by_role("textbox")
        await number.press("Enter")
        await number.fill("1")
        await number.press("Enter")
        await expect(page.get_by_role("listitem").filter(has_text="asked for")).to_have_count(1)
