"""The pages of the fleet, its hosts, guests, pools, capacity and alerts in Chromium: accessible, and on a phone."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.async_api import expect

from bench.past import guest_past, host_past, write
from domains.capacity.models import CapacityRecord
from domains.models import Domain, DomainState
from hosts.models import Host, HostEvent
from tests.alerts.test_intake import told
from tests.axe import fits, violations
from tests.capacity.test_pages import measured, outlook
from tests.domains.test_desk_in_browser import PHONE
from tests.factories import DomainFactory, HostFactory, JobFactory, PoolFactory, SiteFactory, VolumeFactory
from tests.ticks import guest_sample, host_sample, write_tick
from tests.web import Web, browser_page
from vmdash.access.models import User
from vmdash.alerts import intake
from vmdash.alerts.models import Receiver, Silence

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
expect.set_options(timeout=20_000)


@pytest.fixture
def web1(transactional_db: None, empty_history: str) -> Domain:
    """A guest that loses CPU time, on a host with two cells and a pool; one host that does not answer. Of all that,
    history and findings are known."""
    site = SiteFactory.create(name="Lyon")
    cell = {"cpus": [0, 1, 2, 3], "memory_kib": 8 * 1024**2, "distances": []}
    cells = [{"id": 0, **cell}, {"id": 1, **cell}]
    host = HostFactory.create(name="kvm1", site=site, cells=cells)
    gone = HostFactory.create(name="kvm3", site=site, state=Host.State.UNREACHABLE)
    guest = DomainFactory.create(
        name="web1-of-the-shop-in-the-main-building-of-lyon", host=host, vcpus=2, max_vcpus=2, owner="Lena Roth",
        disks=[{"target": "vda", "bus": "virtio", "device": "disk", "source": "/srv/default/web1.qcow2",
                "format": "qcow2", "readonly": False, "backing": [], "limits": {"total_bytes_sec": 1 << 20}}],
    )  # fmt: skip
    off = DomainFactory.create(name="old", host=host, state=DomainState.SHUT_OFF)
    VolumeFactory.create(pool=PoolFactory.create(name="default", host=host, allocation_bytes=7 * 1024**3))
    for at, state in ((20, "unreachable"), (15, "up")):
        HostEvent.objects.create(host=host, at=timezone.now() - timedelta(minutes=at), state=state)
    JobFactory.create(domain=guest, label="Start web1", exclusive=False)
    write_tick(host, {guest: guest_sample(cpu=60, steal=12)}, sample=host_sample(steal=12))
    now = int(time.time())
    write(empty_history, host_past("kvm1", now - 3000, now))
    write(empty_history, guest_past("kvm1", str(guest.pk), guest.name, now - 3000, now))
    CapacityRecord.objects.create(pk=1, recorded_until=timezone.now(), worked_out_at=timezone.now())
    measured(guest, steal_mean=0.1, steal_busy=0.2)
    measured(off)
    outlook("cpu")
    outlook("memory", scope="host", key=str(host.pk))
    intake.take([told(host=gone.name), told(summary="kvm1 has little memory", host="kvm1", severity="warning")])
    Silence.objects.create(
        host="kvm2", ends_at=timezone.now() + timedelta(hours=4), reason="new power supply", created_by_name="lena"
    )
    Receiver.objects.create(name="desk", address="desk@example.org")
    return guest


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_accessible_and_usable_on_a_phone(web: Web, administrator: User, web1: Domain, scheme: str) -> None:
    paths = (
        "/",
        "/hosts/",
        "/hosts/kvm1/",
        "/hosts/kvm3/",
        f"/domains/{web1.pk}/",
        f"/domains/{web1.pk}/cpu/",
        "/storage/",
        "/storage/pools/kvm1/default/",
        "/capacity/",
        "/capacity/guests/",
        "/capacity/what-if/?guests=10&like_guest=old",
        "/capacity/hosts/kvm1/",
        "/alerts/",
        "/alerts/receivers/",
    )
    wrong = []
    async with browser_page(web, administrator) as page:
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for size in ({"width": 1280, "height": 800}, PHONE):
            await page.set_viewport_size({"width": size["width"], "height": size["height"]})
            for path in paths:
                await page.goto(path)
                await expect(page.get_by_role("heading", level=1).first).to_be_visible()
                await expect(page.locator("#charts:not([aria-busy=false])")).to_have_count(0)  # faded while they come
                wrong += [f"{path} at {size['width']} px: {one}" for one in await violations(page)]
                if not await fits(page):
                    wrong.append(f"{path} is wider than {size['width']} px")
        await page.goto(f"/domains/{web1.pk}/cpu/")
        await page.get_by_label("More actions").click()
        if not await fits(page):
            wrong.append("the menu of a guest is wider than a phone")
    assert not wrong, "\n".join(wrong)
