"""The pages about people in Chromium: accessible, on a phone, without JavaScript; what is ended there ends at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.utils import timezone
from playwright.async_api import expect

from domains.models import Domain
from hosts.models import Site
from tests.axe import fits, violations
from tests.domains.test_desk_in_browser import PHONE
from tests.factories import DomainFactory, HostFactory, UserFactory
from tests.web import Web, browser_page
from vmdash.access.models import AuditEntry, Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)


@pytest.fixture
def web1(transactional_db: None) -> Domain:
    host = HostFactory.create(name="kvm1", site=Site.objects.create(name="Zürich"))
    return DomainFactory.create(name="web1-of-the-shop-in-the-main-building-of-zurich", host=host)


@pytest.fixture
def nora(web1: Domain) -> User:
    """With a grant of her own and two through groups, one of which has ended."""
    person = UserFactory.create(username="nora.ek@example.org", first_name="Nora", last_name="Ek", role="")
    desk, leads = Group.objects.create(name="desk of the main building"), Group.objects.create(name="leads")
    person.groups.add(desk, leads)
    Grant.objects.create(
        person=person, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(web1.pk), scope_name=web1.name,
        until=timezone.now() + timedelta(days=3), made_by=User.objects.filter(role=Role.ADMINISTRATOR).first(),
    )  # fmt: skip
    site = {"scope": Scope.SITE, "scope_id": str(web1.host.site_id), "scope_name": "Zürich"}
    Grant.objects.create(group=desk, role=Role.HELP_DESK, **site)
    Grant.objects.create(group=leads, role=Role.VIEWER, **site, until=timezone.now() - timedelta(days=3))
    UserFactory.create(username="olaf", is_active=False)
    return person


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_accessible_and_usable_on_a_phone(web: Web, administrator: User, nora: User, scheme: str) -> None:
    group = await Group.objects.aget(name__startswith="desk")
    asked = f"person={nora.username}&kind=host&thing=kvm1"
    paths = (
        "/people/",
        "/people/?q=nobody-like-that",
        "/people/add/",
        f"/people/{nora.pk}/",
        f"/people/{nora.pk}/password/",
        "/people/grants/give/",
        f"/people/roles/?{asked}",
        "/people/roles/?person=x&kind=host&thing=y",
        "/people/groups/",
        f"/people/groups/{group.pk}/",
        f"/people/groups/{group.pk}/remove/",
    )
    async with browser_page(web, administrator) as page:
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for size in ({"width": 1280, "height": 800}, PHONE):
            await page.set_viewport_size({"width": size["width"], "height": size["height"]})
            for path in paths:
                await page.goto(path)
                await expect(page.get_by_role("heading", level=1)).to_be_visible()
                assert await violations(page) == [], path
                assert await fits(page), f"{path} at {size['width']} px"


async def test_without_javascript(web: Web, administrator: User, nora: User) -> None:
    """A person is added, gets a role on a host, and chooses a password; somebody asks what they could do."""
    async with browser_page(web, administrator, java_script_enabled=False) as page:
        await page.goto("/people/")
        await page.get_by_role("link", name="Add person").click()
        await page.get_by_label("Name", exact=True).fill("pia")
        await page.get_by_role("button", name="Add").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("pia")
        await page.get_by_label("Role", exact=True).select_option("Help desk")
        await page.get_by_label("On", exact=True).select_option("Host")
        await page.get_by_label("Which one").fill("kvm1")
        await page.get_by_role("button", name="Give").click()
        await expect(page.get_by_role("region", name="Granted", exact=True)).to_contain_text("host kvm1")
        await page.get_by_role("link", name="What could they do?").click()
        await page.get_by_label("On", exact=True).select_option("Host")
        await page.get_by_label("Which one").fill("kvm1")
        await page.get_by_role("button", name="Show").click()
        row = page.get_by_role("region", name="The answer").get_by_role("row").filter(has_text="start, shut down")
        await expect(row).to_contain_text("Help desk on host kvm1")
        await page.get_by_role("link", name="pia").click()
        await page.get_by_role("link", name="Link for a password…").click()
        await page.get_by_role("button", name="Make a link").click()
        link = await page.get_by_label("Link").input_value()
        await page.context.clear_cookies()
        await page.goto(link)
        for label in ("New password", "New password confirmation"):
            await page.get_by_label(label, exact=True).fill("a good long one")
        await page.get_by_role("button", name="Set the password").click()
        await page.get_by_label("Name").fill("pia")
        await page.get_by_label("Password").fill("a good long one")
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("article")).to_contain_text("web1")  # the desk, with the guest of that host


async def test_what_is_ended_on_the_page_is_gone_from_pages_that_are_open(
    web: Web, administrator: User, nora: User, web1: Domain
) -> None:
    """The guest that she saw by two grants goes with the second; with the last grant she is told that all is gone."""
    desk = await Group.objects.aget(name__startswith="desk")
    other = await sync_to_async(DomainFactory.create)(name="other")
    last = await Grant.objects.acreate(person=nora, role=Role.VIEWER, scope=Scope.GUEST, scope_id=str(other.pk))
    async with browser_page(web, nora) as hers, browser_page(web, administrator) as page:
        await hers.goto("/domains/")
        await expect(hers.locator("#connection")).to_have_attribute("data-state", "live")
        await expect(hers.get_by_text(web1.name).first).to_be_visible()
        for address, ended in (
            (f"/people/{nora.pk}/", f"Operator on guest {web1.name}"),
            (f"/people/groups/{desk.pk}/", "Help desk on site Zürich"),
        ):
            await page.goto(address)
            await page.get_by_role("button", name=f"End {ended}").click()
            await expect(page.get_by_text(f"Ended: {ended}")).to_be_visible()
        await expect(hers.get_by_text(web1.name)).to_have_count(0, timeout=5_000)
        await expect(hers.get_by_text(other.name, exact=True)).to_be_visible()
        await expect(hers.locator("td.c-host")).to_contain_text([other.host.name])  # by name: she may not open it
        await expect(hers.locator("td.c-host a[href]")).to_have_count(0)
        await page.goto(f"/people/{nora.pk}/")
        await page.get_by_role("button", name=f"End {last}").click()
        await expect(hers.get_by_role("alert")).to_contain_text("not permitted", timeout=5_000)
    assert await AuditEntry.objects.filter(action="grant.end", user=administrator).acount() == 3
