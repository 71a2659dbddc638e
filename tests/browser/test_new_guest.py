"""An image is uploaded in the browser, a guest is made of it, and it starts from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from tests.bootable import disk
from tests.product import Product
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

SignIn = Callable[[str], Page]
NAME, IMAGE = "uploaded", "uploaded.raw"


@pytest.fixture
def kvm1(lab_hosts: dict[str, QemuHost]) -> Iterator[QemuHost]:
    host = lab_hosts["kvm1"]
    yield host
    for command in (["destroy", NAME], ["undefine", NAME], ["vol-delete", IMAGE, "default"]):
        with suppress(LabError):
            host.virsh(*command)


def test_an_uploaded_image_starts_as_a_new_guest(sign_in: SignIn, product: Product, kvm1: QemuHost) -> None:
    page = sign_in("operator")
    page.goto(f"{product.url}/storage/pools/kvm1/default/upload-volume/")
    content = disk("IT STARTS", 3 << 20)
    page.get_by_label("File").set_input_files({"name": IMAGE, "mimeType": "", "buffer": content})
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#live").get_by_role("status")).to_contain_text("done", timeout=30_000)

    page.goto(f"{product.url}/storage/pools/kvm1/default/volumes/{IMAGE}/")
    page.get_by_role("link", name="New guest with it").click()
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Memory").fill("32 MiB")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#live").get_by_role("status")).to_contain_text("done", timeout=30_000)

    page.goto(f"{product.url}/domains/?q={NAME}")
    page.get_by_role("link", name=NAME, exact=True).click()
    page.get_by_role("link", name="Serial console", exact=True).click()
    expect(page.locator("#terminal")).to_contain_text("IT STARTS", timeout=30_000)
