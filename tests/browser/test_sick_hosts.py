"""What people see of the fleet while hosts are sick. (`make bench-faults` measures the time of the pages.)"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.libvirtd import TestDriverHost
from tests.polling import PATIENCE, poll
from tests.product import Product
from tests.relay import Relay
from vmdash.lab.catalogue import GUESTS
from vmdash.lab.faults import hung_libvirtd, killed_libvirtd
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost

NOTICED_S = 15
WELL, SICK = {"kvm1"}, {"kvm2", "kvm3", "far1"}
ON_SICK_HOSTS = {"kvm2": "wiki", "kvm3": "queue1", "far1": "distant1"}
"""A guest of each."""
REQUESTS = 25
SLOWER, AND_MS = 1.2, 15 * PATIENCE
"""How much slower pages may get; the second allows for a machine that others use meanwhile."""


@pytest.fixture
def client(product: Product) -> Iterator[httpx.Client]:
    with closing(product.sign_in("viewer")) as client:
        yield client


@pytest.fixture
def far(product: Product, tmp_path: Path, client: httpx.Client) -> Iterator[Relay]:
    """The way to a fourth host, far1, with the guest distant1."""
    host = TestDriverHost()
    host.define("distant1", running=True)
    relay = Relay(host.port)
    file = tmp_path / "hosts.yaml"
    where = f"transport: tcp, address: 127.0.0.1, port: {relay.port}, path: /default"
    file.write_text(f"- {{name: far1, driver: test, {where}}}\n")
    product.manage("hosts", "import", str(file))
    poll(lambda: {guest.name for guest in GUESTS} | {"distant1"} <= names(client), 60, "all guests to be seen")
    yield relay
    product.manage("shell", "-c", "from hosts.models import Host; Host.objects.get(name='far1').delete()")
    relay.close()
    host.stop()


def test_sick_hosts_say_so_slow_no_page_keep_their_guests_with_their_age_and_come_back(
    client: httpx.Client, lab: Lab, lab_hosts: dict[str, QemuHost], far: Relay, page: Page, product: Product
) -> None:
    pages = ["/", "/domains/", "/domains/rows/", "/hosts/", "/hosts/kvm2/", f"/domains/{lab.uuid('wiki')}/"]
    poll(lambda: not unwell(client), 30, "all hosts to be well")
    normal_ms = {path: median_ms(client, path) for path in pages}
    with ExitStack() as faults:
        faults.enter_context(hung_libvirtd(lab_hosts["kvm2"]))
        faults.enter_context(killed_libvirtd(lab_hosts["kvm3"]))
        faults.enter_context(far.dropping())
        poll(lambda: unwell(client) == SICK, NOTICED_S, "the sick hosts to say so")

        for path, normal in normal_ms.items():
            assert median_ms(client, path) <= SLOWER * normal + AND_MS, path
        assert {guest.name for guest in GUESTS} | {"distant1"} <= names(client)
        look_at_ages(page, product)
    poll(lambda: not unwell(client), NOTICED_S, "the hosts to be back")


def look_at_ages(page: Page, product: Product) -> None:
    """In the table, and on the page of each guest."""
    page.goto(product.url)
    page.get_by_label("Name").fill("viewer")
    page.get_by_label("Password").fill(product.accounts["viewer"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{product.url}/")
    for guest in ON_SICK_HOSTS.values():
        page.goto(f"{product.url}/domains/?q={guest}")
        line = page.get_by_role("row").filter(has=page.get_by_role("link", name=guest, exact=True))
        expect(line.locator("time.age")).to_contain_text("ago")
        line.get_by_role("link", name=guest, exact=True).click()
        expect(page.locator("#guest-head .age")).to_contain_text("as of")


def names(client: httpx.Client) -> set[str]:
    """The guests that the table lists."""
    return {row["name"] for row in client.get("/domains/rows/").json()["rows"]}


def unwell(client: httpx.Client) -> set[str]:
    """The hosts whose page says that they do not answer."""
    return {name for name in WELL | SICK if "does not answer" in client.get(f"/hosts/{name}/").text}


def median_ms(client: httpx.Client, path: str) -> float:
    times = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        client.get(path).raise_for_status()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)
