"""A host is drained in a real browser, which shows the plan first, and gets back exactly what it had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from tests.polling import poll
from tests.product import Product
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]
States = dict[str, str]


def _states(host: QemuHost) -> States:
    names = host.virsh("list", "--all", "--name").split()
    return {name: host.virsh("domstate", name).strip() for name in names}


@pytest.fixture
def kvm2(lab_hosts: Mapping[str, QemuHost]) -> Iterator[QemuHost]:
    """With all its guests, before and afterwards."""
    host = lab_hosts["kvm2"]
    before = _states(host)
    yield host
    others = [other for other in lab_hosts.values() if other is not host]
    for name in before.keys() - _states(host).keys():  # the test failed half-way
        for other in others:
            how = ["--live", "--unsafe"] if _states(other).get(name) == "running" else ["--offline"]
            with suppress(LabError):
                options = [*how, "--p2p", "--persistent", "--undefinesource"]
                other.virsh("migrate", *options, name, host.migration_uri, timeout_s=180)
    for name, state in before.items():
        if state != "shut off" and _states(host).get(name) == "shut off":
            with suppress(LabError):
                host.virsh("start", name)  # it was saved


def test_a_host_is_drained_and_gets_its_guests_back(sign_in: SignIn, product: Product, kvm2: QemuHost) -> None:
    before = _states(kvm2)
    page = sign_in("operator")
    page.goto(f"{product.url}/hosts/kvm2/")
    page.get_by_role("link", name="Drain").click()
    plan = page.get_by_role("region", name="What would happen to each guest")
    for name in before:
        expect(plan).to_contain_text(name)
    page.get_by_role("button", name="Drain now").click()
    expect(page.locator("#live").get_by_role("status").first).to_contain_text("done", timeout=180_000)

    page.goto(f"{product.url}/hosts/kvm2/")
    expect(page.locator("#maintenance")).to_contain_text("kvm2 is in maintenance")
    assert [name for name, state in _states(kvm2).items() if state != "shut off"] == []

    page.get_by_role("link", name="Return guests").click()
    page.get_by_role("button", name="Return now").click()
    expect(page.locator("#live").get_by_role("status").first).to_contain_text("done", timeout=180_000)
    poll(lambda: _states(kvm2) == before, 60, f"kvm2 to have {before}")
    page.goto(f"{product.url}/hosts/kvm2/")
    expect(page.locator("#maintenance")).to_be_empty()
