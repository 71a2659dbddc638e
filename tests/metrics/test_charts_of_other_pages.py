"""Charts of hosts, pools and the fleet: who may see them, and that they show what was recorded."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from bench.past import host_past, write
from hosts.models import HostEvent
from storage.models import Pool, PoolEvent
from tests.factories import HostFactory, JobFactory, PoolFactory, SiteFactory
from tests.polling import poll
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role

pytestmark = pytest.mark.django_db

ADDRESSES = ["/charts.{}", "/hosts/kvm1/charts.{}", "/storage/pools/kvm1/default/charts.{}"]
PAGES = ["/", "/hosts/kvm1/", "/storage/pools/kvm1/default/"]


@pytest.fixture(autouse=True)
def fleet(db: None) -> None:
    PoolFactory.create(name="default", host=HostFactory.create(name="kvm1", site=SiteFactory.create(name="Lyon")))


def recorded(client: Client, address: str, chart: str, label: str) -> list[float]:
    def read() -> list[float]:
        body = client.get(address).json()
        lines = body["charts"][chart]["lines"]
        values = [one for each in lines if each["label"] == label for one in each["values"] if one is not None]
        return values if len(values) > 20 else []

    return poll(read, 20, f"{label} of {address}")


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    ("person", "status"), [("nobody", 403), ("viewer", 200), ("help_desk", 200), ("operator", 200)]
)
def test_who_may_see_them(
    victoria_metrics: str, address: str, form: str, person: str, status: int, client_of: Callable[[User], Client],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    client = client_of(request.getfixturevalue(person))
    assert client.get(address.format(form)).status_code == status


@pytest.mark.parametrize("address", ADDRESSES)
def test_strangers_are_asked_to_sign_in(anonymous_client: Client, address: str) -> None:
    assert anonymous_client.get(address.format("json")).status_code == 302


@pytest.mark.parametrize("address", [*(one.format("json") for one in ADDRESSES), *PAGES])
def test_a_range_that_does_not_exist_is_refused(viewer_client: Client, address: str) -> None:
    assert viewer_client.get(address, {"range": "decade"}).status_code == 400


@pytest.mark.parametrize(
    "address", ["/hosts/none/charts.json", "/storage/pools/kvm1/none/charts.json", "/charts.json?site=none"]
)
def test_what_there_is_not_is_not_found(viewer_client: Client, address: str) -> None:
    assert viewer_client.get(address).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_have_their_frames(viewer_client: Client, page: str) -> None:
    text = viewer_client.get(page, {"range": "month"}).content.decode()
    assert 'data-query="range=month"' in text
    assert "The charts need JavaScript" in text


def test_a_site_keeps_its_name_in_every_address(viewer_client: Client) -> None:
    text = viewer_client.get("/", {"site": "Lyon", "range": "day"}).content.decode()
    assert 'data-query="site=Lyon&amp;range=day"' in text
    assert 'href="?site=Lyon&amp;range=week#charts"' in text


def test_a_host_and_the_fleet_show_what_was_recorded(victoria_metrics: str, viewer_client: Client) -> None:
    now = int(time.time())
    write(victoria_metrics, host_past("kvm1", now - 1500, now))
    for address in ("/hosts/kvm1/charts.json", "/charts.json", "/charts.json?site=Lyon"):
        assert all(0 < value <= 100 for value in recorded(viewer_client, address, "cpu", "used"))
        assert all(0 <= value < 10 for value in recorded(viewer_client, address, "steal", "guests wait for a CPU"))
        assert recorded(viewer_client, address, "memory", "there is")[0] == pytest.approx(64 * 1024**3, rel=1e-5)
        assert recorded(viewer_client, address, "guests", "guests")
        assert recorded(viewer_client, address, "network", "sent")


def test_a_host_shows_what_its_guests_do_together(victoria_metrics: str, viewer_client: Client) -> None:
    """Two guests on it, and one elsewhere. A mean request takes as long as all together, shared by their number."""
    HostFactory.create(name="shared")
    end = int(time.time())
    lines = [
        f'libvirt_domain_{figure}{{host="{host}",uuid="{uuid}"}} {value} {(end - 1200 + seconds) * 1000}'
        for seconds in range(0, 1200, 10)
        for host, uuid, reads, wait_s in (
            ("shared", "u-1", 30, 0.002),
            ("shared", "u-2", 10, 0.01),
            ("not", "u-3", 9, 1),
        )
        for figure, value in (
            ("block_stats_read_requests_total", reads * seconds),
            ("block_stats_read_time_seconds_total", reads * wait_s * seconds),
            ("block_stats_write_requests_total", 0),
            ("block_stats_write_time_seconds_total", 0),
            ("memory_stats_swap_in_bytes_total", 4096 * seconds),
            ("memory_stats_swap_out_bytes_total", 512 * seconds),
        )
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join((*lines, ""))).raise_for_status()
    httpx.get(f"{victoria_metrics}/internal/force_flush")
    for chart, label, value in (
        ("operations", "reads", 40),
        ("operations", "writes", 0),
        ("latency", "read", (30 * 0.002 + 10 * 0.01) / 40),
        ("swap", "in", 8192),
        ("swap", "out", 1024),
    ):
        found = recorded(viewer_client, "/hosts/shared/charts.json", chart, label)
        assert found[20] == pytest.approx(value, rel=0.02), f"{label} of {chart}"
    body = viewer_client.get("/hosts/shared/charts.json").json()["charts"]
    assert set(body["latency"]["lines"][1]["values"]) == {None}, "no request, no latency"


def test_a_site_shows_what_collectors_have_added_up(victoria_metrics: str, viewer_client: Client) -> None:
    """Of two hosts. One that makes ten times as many requests counts ten times as much in what one takes."""
    site = SiteFactory.create(name="Basel")
    end = int(time.time())
    lines = []
    for name, requests, request_s in (("added1", 100, 0.2), ("added2", 10, 0.24)):
        HostFactory.create(name=name, site=site)
        for figure, value in (
            ("block_requests_per_second", requests),
            ("block_request_seconds_per_second", request_s),
            ("swap_bytes_per_second", 2048),
            ("guest_memory_bytes", 1024**3),
            ("guest_balloon_bytes", 3 * 1024**3),
        ):
            lines += [
                f'vmdash_host_{figure}{{host="{name}"}} {value} {(end - age) * 1000}' for age in range(0, 1200, 10)
            ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join((*lines, ""))).raise_for_status()
    httpx.get(f"{victoria_metrics}/internal/force_flush")
    for chart, label, value in (
        ("operations", "reads and writes", 110),
        ("latency", "read or write", 0.44 / 110),
        ("swap", "in and out", 4096),
        ("memory", "held by guests", 2 * 1024**3),
        ("memory", "given (balloon)", 6 * 1024**3),
    ):
        found = recorded(viewer_client, "/charts.json?site=Basel", chart, label)
        assert found[20] == pytest.approx(value, rel=1e-5), f"{label} of {chart}"
    found = recorded(viewer_client, "/hosts/added1/charts.json", "memory", "given (balloon)")
    assert found[20] == pytest.approx(3 * 1024**3, rel=1e-5), "of this host alone"


def test_memory_given_to_guests_goes_back_beyond_the_time_from_which_it_was_added_up(
    victoria_metrics: str, viewer_client: Client
) -> None:
    HostFactory.create(name="older")
    end = int(time.time())
    guests = [
        f'libvirt_domain_info_memory_usage_bytes{{host="older",uuid="u-{guest}"}} {1024**3} {(end - age) * 1000}'
        for guest in (1, 2)
        for age in range(0, 3000, 10)
    ]
    sums = [
        f'vmdash_host_guest_balloon_bytes{{host="older"}} {5 * 1024**3} {(end - age) * 1000}'
        for age in range(0, 1200, 10)
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join((*guests, *sums, "")))
    httpx.get(f"{victoria_metrics}/internal/force_flush")
    found = recorded(viewer_client, "/hosts/older/charts.json", "memory", "given (balloon)")
    assert {round(value / 1024**3, 2) for value in found} == {2, 5}, "never both together"
    assert found[0] < found[-1]


def test_a_pool_shows_how_it_fills_up(victoria_metrics: str, viewer_client: Client) -> None:
    pool, now = Pool.objects.get(), int(time.time())
    only = f'host="kvm1",pool="default",uuid="{pool.uuid}"'
    lines = [
        f"libvirt_pool_info_{kind}_bytes{{{only}}} {value} {(now - age) * 1000}"
        for age in range(0, 3000, 60)
        for kind, value in (("capacity", 1000), ("available", 600 + age / 10))
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    taken = recorded(viewer_client, "/storage/pools/kvm1/default/charts.json", "space", "taken")
    assert taken[0] < taken[-1] <= 400


def test_what_a_pool_takes_by_itself_where_it_shares_its_storage(victoria_metrics: str, viewer_client: Client) -> None:
    """Of most types libvirt calls everything taken the pool's own; a line over another line says nothing."""
    address = "/storage/pools/kvm1/default/charts.json"
    assert "taken by this pool" not in viewer_client.get(address).content.decode()
    Pool.objects.update(allocation_bytes=7 * 1024**3)
    pool, now = Pool.objects.get(), int(time.time())
    lines = [
        f'libvirt_pool_info_{kind}_bytes{{host="kvm1",uuid="{pool.uuid}"}} {value} {(now - age) * 1000}'
        for age in range(0, 3000, 60)
        for kind, value in (("capacity", 1000), ("available", 600), ("allocation", 70))
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join(lines)).raise_for_status()
    assert set(recorded(viewer_client, address, "space", "taken by this pool")) == {70}
    labels = {line["label"] for line in viewer_client.get(address).json()["charts"]["space"]["lines"]}
    assert "promised to this pool's volumes" in labels, "others may have promised more of the same storage"
    assert "promised to volumes" not in labels


@pytest.mark.parametrize("span", ["hour", "day", "week", "month", "year"])
def test_what_a_pool_has_promised_to_volumes(victoria_metrics: str, viewer_client: Client, span: str) -> None:
    """More than there is, and beside it; in figures too."""
    pool, now = Pool.objects.get(), int(time.time())
    step = {"hour": 60, "day": 300, "week": 1800, "month": 7200, "year": 86_400}[span]
    lines = [
        f'{series}_bytes{{host="kvm1",pool="default",uuid="{pool.uuid}"}} {value} {(now - age * step) * 1000}'
        for age in range(50)
        for series, value in (("libvirt_pool_info_capacity", 1000), ("vmdash_pool_promised", 2500))
    ]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join((*lines, ""))).raise_for_status()
    address = f"/storage/pools/kvm1/default/charts.{{}}?range={span}"

    assert set(recorded(viewer_client, address.format("json"), "space", "promised to volumes")) == {2500}
    assert set(recorded(viewer_client, address.format("json"), "space", "there is")) == {1000}
    rows = list(csv.DictReader(viewer_client.get(address.format("csv")).content.decode().splitlines()))
    assert {row["Space: promised to volumes (bytes)"] for row in rows} - {""} == {"2500.0"}


def test_changes_of_a_pools_state_are_on_its_time_axis_in_words(victoria_metrics: str, viewer_client: Client) -> None:
    pool, now = Pool.objects.get(), timezone.now()
    other = PoolFactory.create(name="other", host=pool.host)
    for minutes, kind, state, witnessed in (
        (90, "state", "degraded", True),
        (50, "seen", "running", False),
        (40, "state", "inaccessible", True),
        (30, "gone", "inaccessible", True),
        (20, "seen", "running", False),
        (15, "gone", "running", False),
        (12, "seen", "running", False),
        (10, "state", "inactive", False),
    ):
        PoolEvent.objects.create(
            host=pool.host, uuid=pool.uuid, name=pool.name, at=now - timedelta(minutes=minutes), kind=kind,
            state=state, witnessed=witnessed,
        )  # fmt: skip
    PoolEvent.objects.create(host=pool.host, uuid=other.uuid, name="other", at=now, kind="state", state="degraded")

    found = viewer_client.get("/storage/pools/kvm1/default/charts.json").json()["events"]

    assert [(event["text"], event["tone"]) for event in found] == [
        ("default seen: active", ""),
        ("default cannot be reached by its host", "bad"),
        ("default is not there any more", "warn"),
        ("default seen: active", ""),
        ("default is not there any more, at this time at the latest", "warn"),
        ("default seen: active", ""),
        ("default is stopped, at this time at the latest", "warn"),
    ]


def test_what_a_job_did_to_a_pool_is_told_once_to_those_who_see_the_job(
    victoria_metrics: str, client_of: Callable[[User], Client], operator: User, viewer: User
) -> None:
    """Looking through a pool is not meant to stop it: when libvirt does, that is told."""
    pool, now = Pool.objects.get(), timezone.now()
    for minutes, kind, label, state in (
        (40, "pool.stop", "Stop pool default", "inactive"),
        (30, "pool.start", "Start pool default", "running"),
        (20, "pool.refresh", "Refresh pool default", "inactive"),
    ):
        at = now - timedelta(minutes=minutes)
        JobFactory.create(
            kind=kind, label=label, target_kind="pool", target_id=str(pool.pk), host_name="kvm1", exclusive=False,
            requested_by=operator, state="succeeded", created_at=at, started_at=at,
            finished_at=at + timedelta(seconds=2),
        )  # fmt: skip
        PoolEvent.objects.create(
            host=pool.host, uuid=pool.uuid, name="default", at=at + timedelta(seconds=1), kind="state", state=state
        )

    def texts(person: User) -> list[str]:
        found = client_of(person).get("/storage/pools/kvm1/default/charts.json").json()["events"]
        return [event["text"].split(",")[0] for event in found]

    stopped, active = "default is stopped", "default is active"
    assert texts(operator) == ["Stop pool default", "Start pool default", "Refresh pool default", stopped]
    assert texts(viewer) == [stopped, active, stopped]


def test_states_of_pools_are_told_to_those_who_may_see_the_host(nobody: User, viewer: User) -> None:
    pool = Pool.objects.get()
    elsewhere = HostFactory.create(name="kvm2")
    for host in (pool.host, elsewhere):
        PoolEvent.objects.create(
            host=host, uuid=pool.uuid, name=host.name, at=timezone.now(), kind="state", state="running"
        )
    Grant.objects.create(person=nobody, role=Role.VIEWER, scope=Scope.HOST, scope_id=str(elsewhere.pk))

    assert [event.name for event in PoolEvent.objects.visible_to(nobody)] == ["kvm2"]
    assert {event.name for event in PoolEvent.objects.visible_to(viewer)} == {"kvm1", "kvm2"}


def test_connections_and_jobs_are_on_the_time_axis(victoria_metrics: str, operator_client: Client) -> None:
    from hosts.models import Host

    host, now = Host.objects.get(), timezone.now()
    HostEvent.objects.create(host=host, at=now - timedelta(minutes=9), state="unreachable")
    HostEvent.objects.create(host=host, at=now - timedelta(minutes=8), state="up")
    JobFactory.create(label="Start web1", host_name="kvm1", exclusive=False)
    JobFactory.create(label="Drain kvm1", target_kind="host", target_id=str(host.pk), exclusive=False)
    pool = str(host.storage_pools.get().pk)
    JobFactory.create(label="Stop default", target_kind="pool", target_id=pool, exclusive=False)

    def texts(address: str) -> list[str]:
        found: list[dict[str, Any]] = operator_client.get(address).json()["events"]
        return [event["text"].split(" (")[0] for event in found]

    states = ["kvm1 does not answer", "kvm1 is connected"]
    assert texts("/hosts/kvm1/charts.json") == [*states, "Start web1", "Drain kvm1"]
    assert texts("/charts.json") == [*states, "Drain kvm1"]
    assert texts("/storage/pools/kvm1/default/charts.json") == [*states, "Stop default"]


@pytest.mark.parametrize("every_s", [30, 270])
def test_the_numa_cells_also_where_they_are_looked_at_seldom(
    victoria_metrics: str, viewer_client: Client, every_s: int
) -> None:
    name = f"celled-{every_s}"
    cell = {"cpus": [0], "memory_kib": 1024, "distances": []}
    HostFactory.create(name=name, cells=[{"id": 0, **cell}, {"id": 1, **cell}])
    end = int(time.time())
    lines = [
        f'libvirt_node_cell_{figure}{{host="{name}",cell="{number}"{more}}} {value} {(end - 1800 + seconds) * 1000}'
        for seconds in range(0, 1200, every_s)
        for number, busy in ((0, 0.3), (1, 0.1))  # at the end; both rise steadily
        for figure, more, value in (
            ("cpu_seconds_total", ',mode="user"', busy * seconds**2 / 2400),
            ("cpu_seconds_total", ',mode="idle"', seconds - busy * seconds**2 / 2400),
            ("memory_total_bytes", "", 1200),
            ("memory_free_bytes", "", 1200 - busy * seconds),
        )
    ]
    lines += [f'libvirt_up{{host="{name}"}} 1 {(end - age_s) * 1000}' for age_s in range(600, 1800, 10)]
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content="\n".join((*lines, "")))
    httpx.get(f"{victoria_metrics}/internal/force_flush")
    for number, busy in ((0, 0.3), (1, 0.1)):
        for chart in ("cell_cpus", "cells"):
            address, label = f"/hosts/{name}/charts.json", f"cell {number}"
            assert recorded(viewer_client, address, chart, label)[-1] == pytest.approx(100 * busy, rel=0.3)
            (line,) = [
                each for each in viewer_client.get(address).json()["charts"][chart]["lines"] if each["label"] == label
            ]
            known = [at for at, value in enumerate(line["values"]) if value is not None]
            assert known == list(range(known[0], known[-1] + 1)), "there is no gap"
            values = [line["values"][at] for at in known]
            assert all(later >= earlier - 0.1 for earlier, later in pairwise(values)), "nor a step back"
            assert len(line["values"]) - known[-1] > (600 - 150) / 15, "it ends when the host does not answer any more"
