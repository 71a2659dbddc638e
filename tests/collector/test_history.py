"""A collector's history: what it records of a host, and what becomes of it while the store is away."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from django.test import Client

from domains.models import Domain, GuestEvent
from hosts.models import HostEvent
from storage.models import PoolEvent
from tests.collector.process import CollectorProcess
from tests.collector.waiting import AddHost
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.services import free_port
from vmdash.metrics.trouble import history_trouble

pytestmark = pytest.mark.django_db(transaction=True)


def recorded(url: str, query: str) -> list[object]:
    found: list[object] = httpx.get(f"{url}/api/v1/query", params={"query": query}).json()["data"]["result"]
    return found


def test_hosts_pools_and_changes_are_recorded(
    victoria_metrics: str,
    start_collector: Callable[..., CollectorProcess],
    add_host: AddHost,
    libvirtd: TestDriverHost,
) -> None:
    start_collector()
    add_host(libvirtd, name="recorded1")

    for metric in (
        *("libvirt_up", "vmdash_host_guests", "libvirt_pool_info_available_bytes", "vmdash_pool_promised_bytes"),
        "coarse:libvirt_up",
    ):
        query = f'{{__name__="{metric}",host="recorded1"}}'
        poll(lambda: recorded(victoria_metrics, query), 30, query)  # noqa: B023
    poll(lambda: HostEvent.objects.filter(host__name="recorded1", state="up").exists(), 10, "the connection")
    events = poll(lambda: list(GuestEvent.objects.filter(host_name="recorded1")), 10, "its guest")
    assert {(event.kind, event.state) for event in events} == {("seen", "running")}
    assert {event.uuid for event in events} == {guest.pk for guest in Domain.objects.all()}
    pools = PoolEvent.objects.filter(host__name="recorded1")
    assert {(event.name, event.kind, event.state) for event in pools} == {("default-pool", "seen", "running")}


def test_a_store_that_is_away_is_said_on_the_fleet_page(
    start_collector: Callable[..., CollectorProcess],
    add_host: AddHost,
    libvirtd: TestDriverHost,
    viewer_client: Client,
) -> None:
    collector = start_collector(TSDB_URL=f"http://127.0.0.1:{free_port()}")
    add_host(libvirtd, name="kvm1")

    poll(lambda: (found := history_trouble()) and found.away and found.size, 40, "the collector to say so")

    assert "What is measured waits on disk" in viewer_client.get("/").content.decode()
    assert "takes nothing; what is measured waits on disk" in collector.log
