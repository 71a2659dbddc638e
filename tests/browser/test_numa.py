"""A guest that is pinned away from its memory is found, explained, put right by a job, and that can be undone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.product import Product
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]
GUEST = "cache1"
LAST_CPU = max(os.sched_getaffinity(0))
WRONG = re.compile(rf"Its vCPU is pinned to CPU {LAST_CPU} in cell 1, but its memory comes from cell 0\.")
A_MINUTE_MS = 60_000


@pytest.fixture
def kvm3(lab_hosts: dict[str, QemuHost]) -> Iterator[QemuHost]:
    """Its guest is pinned wrong, before and afterwards."""
    host = lab_hosts["kvm3"]
    yield host
    for how in ("--live", "--config"):
        host.virsh("vcpupin", GUEST, "0", str(LAST_CPU), how)


def _pinned_to(host: QemuHost) -> str:
    return host.virsh("vcpupin", GUEST, "--vcpu", "0", "--live").split()[-1]


def test_wrong_pinning_is_found_and_put_right(sign_in: SignIn, product: Product, kvm3: QemuHost) -> None:
    page = sign_in("operator")
    page.goto(f"{product.url}/hosts/kvm3/")
    expect(page.locator("#cells .vcpu.away")).to_have_text(GUEST, timeout=A_MINUTE_MS)
    page.locator("#cells .note").get_by_role("link", name=GUEST).click()

    expect(page.locator("#cpu")).to_contain_text(WRONG)
    page.get_by_role("link", name="Put it right…").click()
    expect(page.locator("main")).to_contain_text("vCPU 0 on CPU 0; emulator on CPU 0; memory from cell 0 (strict)")
    page.get_by_role("button", name="Place it so").click()
    expect(page.locator("#live").get_by_role("status").first).to_contain_text("done", timeout=30_000)
    assert _pinned_to(kvm3) == "0"
    page.get_by_role("link", name=GUEST).first.click()
    expect(page.locator("#troubles")).not_to_contain_text("pinned", timeout=A_MINUTE_MS)

    kvm3.virsh("vcpupin", GUEST, "0", str(LAST_CPU), "--live")  # by hand
    expect(page.locator("#troubles")).to_contain_text(WRONG, timeout=A_MINUTE_MS)

    page.get_by_role("link", name="CPU", exact=True).click()
    page.get_by_role("button", name="Undo the last placement").click()
    expect(page.locator("#live").get_by_role("status").first).to_contain_text("done", timeout=30_000)
    assert _pinned_to(kvm3) == str(LAST_CPU)
