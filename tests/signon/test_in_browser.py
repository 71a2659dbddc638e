"""Signing in and one's own account in Chromium: with a passkey of its own, on a phone, accessible."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from playwright.async_api import Page, expect

from tests.axe import fits, violations
from tests.factories import PASSWORD, UserFactory
from tests.signon.authenticator import code_of
from tests.web import Web, browser_page
from vmdash.access.models import AuditEntry, User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)

SIZES = [{"width": 1280, "height": 800}, {"width": 360, "height": 740}]
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def ada(transactional_db: None) -> User:
    """Somebody whose password the web process can check: it hashes well, which tests do not."""
    hasher, person = PBKDF2PasswordHasher(), UserFactory.create(username="ada", role="viewer")
    person.password = hasher.encode(PASSWORD, hasher.salt())
    person.save()
    return person


async def give(page: Page, label: str, text: str, button: str) -> None:
    await page.get_by_label(label, exact=True).fill(text)
    await page.get_by_role("button", name=button, exact=True).click()


async def test_a_passkey_is_added_and_then_takes_the_place_of_the_password(web: Web, ada: User) -> None:
    here = web.url.replace("127.0.0.1", "localhost")  # passkeys belong to names
    async with browser_page(web, ada) as page:
        await page.context.clear_cookies()
        chromium = await page.context.new_cdp_session(page)
        await chromium.send("WebAuthn.enable")
        await chromium.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        await page.goto(f"{here}/account/passkeys/add/")
        await page.get_by_label("Name").fill("ada")
        await give(page, "Password", PASSWORD, "Sign in")
        await give(page, "Password", PASSWORD, "Go on")
        await page.get_by_label("It may take the place of the password").check()
        await give(page, "Name", "My laptop", "Add")
        await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        await page.get_by_role("link", name="I kept them").click()
        await expect(page.get_by_text("My laptop")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(f"{here}/jobs/")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await page.wait_for_url(f"{here}/jobs/")
    signed_in = [entry.detail async for entry in AuditEntry.objects.filter(action="sign_in", user=ada)]
    assert signed_in == ["webauthn", "password"]


async def test_without_a_passkey_the_page_says_why_nothing_happened(web: Web, ada: User) -> None:
    async with browser_page(web, ada) as page:
        await page.context.clear_cookies()
        chromium = await page.context.new_cdp_session(page)
        await chromium.send("WebAuthn.enable")
        await chromium.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        await page.goto(web.url.replace("127.0.0.1", "localhost"))
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_text("No passkey was used")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_accessible_and_usable_on_a_phone(web: Web, ada: User, scheme: str) -> None:
    async with browser_page(web, ada) as page:
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.goto("/account/app/")
        await look(page)
        await give(page, "Password", PASSWORD, "Go on")
        await look(page)
        secret = await page.locator("main code").inner_text()
        await give(page, "Authenticator code", "000000", "Set up")
        await expect(page.get_by_text("Incorrect code")).to_be_visible()
        await look(page)
        await give(page, "Authenticator code", code_of(secret), "Set up")
        await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        await look(page)
        for path in ("/account/", "/account/password/", "/account/passkeys/add/", "/account/app/remove/"):
            await page.goto(path)
            await look(page)
        await page.context.clear_cookies()
        await page.goto("/sign-in/")
        await look(page)
        await page.get_by_label("Name").fill("ada")
        await give(page, "Password", "guess", "Sign in")
        await expect(page.get_by_role("alert").filter(has_text=re.compile("not right"))).to_be_visible()
        await look(page)
        await page.get_by_label("Name").fill("ada")
        await give(page, "Password", PASSWORD, "Sign in")
        await expect(page.get_by_role("heading", name="Second step")).to_be_visible()
        await look(page)


async def look(page: Page) -> None:
    for size in SIZES:
        await page.set_viewport_size({"width": size["width"], "height": size["height"]})
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert await violations(page) == [], page.url
        assert await fits(page), f"{page.url} at {size['width']} px"
