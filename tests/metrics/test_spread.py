"""How steal was spread over time, below the charts of hosts and of the fleet."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from django.test import Client

from tests.factories import HostFactory, SiteFactory
from tests.polling import poll
from vmdash.metrics.spread import spread_of

pytestmark = pytest.mark.django_db

LENGTH_S = 3000


@pytest.fixture
def fleet(db: None, empty_history: str) -> None:
    """For the last tenth of 50 minutes the guest of kvm1, with one vCPU, waits for half of the time; that of kvm2, with
    three, never does. A third host, in another site, was not recorded."""
    lyon = SiteFactory.create(name="Lyon")
    for name, site in (("kvm1", lyon), ("kvm2", lyon), ("kvm3", SiteFactory.create(name="Oslo"))):
        HostFactory.create(name=name, site=site)
    begin = int(time.time()) - LENGTH_S
    lines = [
        f'vmdash_host_{figure}_seconds_total{{host="{host}"}} {value} {(begin + passed) * 1000}'
        for passed in range(0, LENGTH_S, 10)
        for host, vcpus, waits in (("kvm1", 1, 0.5), ("kvm2", 3, 0.0))
        for figure, value in (("vcpu", vcpus * passed), ("steal", waits * max(0, passed - 0.9 * LENGTH_S)))
    ]
    httpx.post(f"{empty_history}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    httpx.get(f"{empty_history}/internal/force_flush").raise_for_status()


def spread(client: Client, address: str) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        found: dict[str, Any] = client.get(address).json()["charts"]["steal"]["spread"] or {}
        return found if found and found["lines"][0]["most"] else {}

    found = poll(read, 20, f"the spread of {address}")
    assert found["over"] == "60 s"
    (line,) = found["lines"]
    assert line.pop("label") == "all guests"
    return line  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("address", "most"), [("/hosts/kvm1/charts.json", 50), ("/charts.json", 12.5), ("/charts.json?site=Lyon", 12.5)]
)
def test_what_was_seldom_is_not_in_the_median_but_in_the_percentiles(
    fleet: None, viewer_client: Client, address: str, most: float
) -> None:
    """In the fleet each host counts by its vCPUs."""
    percent = pytest.approx(most, rel=0.05)
    assert spread(viewer_client, address) == {"median": 0, "p95": percent, "p99": percent, "most": percent}


@pytest.mark.parametrize("address", ["/hosts/kvm3/charts.json", "/charts.json?site=Oslo"])
def test_where_nothing_was_recorded_nothing_is_said(fleet: None, viewer_client: Client, address: str) -> None:
    assert viewer_client.get(address).json()["charts"]["steal"]["spread"] is None


def test_an_hour_that_goes_on_keeps_the_spread_of_the_whole(fleet: None, viewer_client: Client) -> None:
    """What comes to an open page is a few points; the spread stays that of the whole range."""
    whole = spread(viewer_client, "/hosts/kvm1/charts.json")
    later = spread(viewer_client, f"/hosts/kvm1/charts.json?after={int(time.time()) - 60}")
    assert later == {key: pytest.approx(value, rel=0.05) for key, value in whole.items()}


def test_between_two_values_in_proportion() -> None:
    found = spread_of("x", [None, 40, 0, 20, None, 10, 30])
    assert found is not None
    assert [found.median, found.p95, found.p99, found.most] == pytest.approx([20, 38, 39.6, 40])
    assert spread_of("x", [None, None]) is None
