"""Hosts in the browser: added by the form, tested, seen coming and going, removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.libvirtd import TestDriverHost

APPEARS_MS = 20_000


@pytest.fixture
def libvirtd() -> Iterator[TestDriverHost]:
    """A host that nobody else needs."""
    host = TestDriverHost()
    host.define("visitor1", running=True)
    yield host
    host.stop()


def test_a_host_is_added_tested_watched_and_removed(sign_in: Callable[[str], Page], libvirtd: TestDriverHost) -> None:
    page = sign_in("admin")
    page.get_by_role("link", name="Hosts").click()
    page.get_by_role("link", name="Add host").click()
    page.get_by_label("Name", exact=True).fill("spare1")
    page.get_by_label("Hypervisor").select_option("test")
    page.get_by_label("Reached over").select_option("tcp")
    page.get_by_label("Address", exact=True).fill("127.0.0.1")
    page.get_by_label("Port").fill(str(libvirtd.port))
    expect(page.locator("#uri")).to_have_text(str(libvirtd.endpoint))
    expect(page.get_by_label("Account")).to_be_hidden()
    page.get_by_role("button", name="Add and test").click()
    expect(page.get_by_text("spare1 answers.")).to_be_visible(timeout=APPEARS_MS)

    page.get_by_role("link", name="spare1").first.click()
    expect(page.locator("#host")).to_contain_text("connected", timeout=APPEARS_MS)
    expect(page.get_by_role("link", name="visitor1")).to_be_visible(timeout=APPEARS_MS)

    page.get_by_role("link", name="Hosts").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="spare1"))
    expect(row).to_contain_text("connected")
    libvirtd.freeze()
    expect(row).to_contain_text("does not answer", timeout=APPEARS_MS)
    libvirtd.thaw()
    expect(row).to_contain_text("connected", timeout=APPEARS_MS)

    row.get_by_role("link", name="spare1").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("spare1 is disabled.")).to_be_visible()
    page.get_by_role("link", name="Remove").click()
    page.get_by_label("Type spare1 to remove it").fill("spare1")
    page.get_by_role("button", name="Remove spare1").click()
    expect(page.get_by_text("spare1 is removed.")).to_be_visible()
    expect(page.get_by_role("link", name="spare1", exact=True)).to_have_count(0)


def test_the_form_shows_the_fields_that_the_transport_needs(sign_in: Callable[[str], Page]) -> None:
    page = sign_in("admin")
    page.goto(page.url + "hosts/add/")
    transport, credential = page.get_by_label("Reached over"), page.get_by_label("Credential", exact=True)
    transport.select_option("ssh")
    credential.select_option("generate")
    expect(page.get_by_text("you get the public key to install")).to_be_visible()
    expect(page.get_by_label("Private key")).to_be_hidden()
    transport.select_option("tcp")
    expect(credential).to_have_value("new")
    expect(page.get_by_label("Password")).to_be_visible()
    transport.select_option("unix")
    expect(page.get_by_label("Address", exact=True)).to_be_hidden()
    expect(page.locator("#uri")).to_have_text("qemu:///system")
