"""The charts of a guest's CPU part: what it loses, how that is spread over time, and who takes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.test import Client

from domains.models import Domain, DomainQuerySet
from tests.factories import DomainFactory
from tests.polling import poll
from vmdash.access.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def guest(db: None) -> Domain:
    return DomainFactory.create(name="web1", vcpus=2, max_vcpus=2)


def write(url: str, lines: list[str]) -> None:
    httpx.post(f"{url}/api/v1/import/prometheus", content="\n".join((*lines, ""))).raise_for_status()
    httpx.get(f"{url}/internal/force_flush").raise_for_status()


def lose(url: str, guest: Domain, takers: dict[str, float], *, minutes: int = 20, step_s: int = 10) -> None:
    """Of its two vCPUs the first waits 40 % of the time; the takers (by UUID) took these shares of one CPU."""
    end, lines, only = int(time.time()), [], f'host="{guest.host.name}",domain="{guest.name}",uuid="{guest.pk}"'
    for seconds in range(0, minutes * 60, step_s):
        at = (end - minutes * 60 + seconds) * 1000
        lines += [
            f"libvirt_domain_info_virtual_cpus{{{only}}} 2 {at}",
            f'libvirt_domain_vcpu_delay_seconds_total{{{only},vcpu="0"}} {seconds * 0.4} {at}',
            f'libvirt_domain_vcpu_delay_seconds_total{{{only},vcpu="1"}} 0 {at}',
        ]
        lines += [
            f'vmdash_domain_steal_taken_seconds_total{{{only},by_uuid="{uuid}"}} {seconds * share} {at}'
            for uuid, share in takers.items()
        ]
    write(url, lines)


def body(client: Client, guest: Domain, chart: str, query: str = "") -> dict[str, Any]:
    def read() -> dict[str, Any]:
        found = client.get(f"/domains/{guest.pk}/cpu-charts.json?{query}").json()["charts"][chart]
        return found if any(value for line in found["lines"] for value in line["values"]) else {}

    return poll(read, 20, f"{chart} of {guest.name}")


def newest(chart: dict[str, Any]) -> dict[str, float]:
    """The last value of each line."""
    known = {line["label"]: [value for value in line["values"] if value is not None] for line in chart["lines"]}
    return {label: values[-1] for label, values in known.items() if values}


def test_steal_over_time_and_how_it_is_spread(victoria_metrics: str, guest: Domain, viewer_client: Client) -> None:
    lose(victoria_metrics, guest, {})
    chart = body(viewer_client, guest, "steal")
    assert newest(chart) == {"all vCPUs": pytest.approx(20, abs=0.5), "the worst vCPU": pytest.approx(40, abs=1)}
    spread = {line["label"]: line for line in chart["spread"]["lines"]}
    assert list(spread) == ["all vCPUs", "vCPU 0", "vCPU 1"]
    assert spread["vCPU 0"]["median"] == pytest.approx(40, abs=1)
    assert spread["vCPU 1"]["p99"] == 0
    assert chart["spread"]["over"] == "60 s"


def test_percentiles_tell_what_a_mean_hides(victoria_metrics: str, guest: Domain, viewer_client: Client) -> None:
    """It lost everything for three minutes of fifty, and nothing else."""
    end, lines, lost = int(time.time()), [], 0
    for seconds in range(0, 3000, 10):
        lost += 10 if 1000 <= seconds < 1180 else 0
        at = (end - 3000 + seconds) * 1000
        lines.append(f'libvirt_domain_vcpu_delay_seconds_total{{uuid="{guest.pk}",vcpu="0"}} {lost} {at}')
    write(victoria_metrics, lines)
    [spread, *_] = body(viewer_client, guest, "steal")["spread"]["lines"]
    assert spread["median"] == 0
    assert 0 < spread["p95"] < spread["p99"] == pytest.approx(100, abs=1) == spread["most"]


def test_who_takes_it_is_named_as_far_as_the_person_may_know(
    victoria_metrics: str, guest: Domain, viewer_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci, secret = DomainFactory.create(name="ci-7"), DomainFactory.create(name="secret1")
    lose(victoria_metrics, guest, {str(ci.pk): 0.2, str(secret.pk): 0.1, str(guest.pk): 0.06, "": 0.04})
    chart = body(viewer_client, guest, "takers")
    assert chart["stacked"]
    assert newest(chart) == {
        "ci-7": pytest.approx(10, abs=0.3),
        "secret1": pytest.approx(5, abs=0.3),
        "its own other vCPUs": pytest.approx(3, abs=0.3),
        f"other work of {guest.host.name}": pytest.approx(2, abs=0.3),
    }
    everything = DomainQuerySet.visible_to

    def visible_to(self: DomainQuerySet, user: User) -> DomainQuerySet:
        return everything(self, user).exclude(name="secret1")

    monkeypatch.setattr(DomainQuerySet, "visible_to", visible_to)
    labels = {line["label"] for line in body(viewer_client, guest, "takers")["lines"]}
    assert "guests that you may not see" in labels
    csv = viewer_client.get(f"/domains/{guest.pk}/cpu-charts.csv").content.decode()
    assert "secret1" not in csv
    assert "ci-7" in csv


def test_many_takers_are_drawn_as_the_worst_and_the_rest(
    victoria_metrics: str, guest: Domain, viewer_client: Client
) -> None:
    takers = [DomainFactory.create(name=f"taker{number}") for number in range(8)]
    lose(victoria_metrics, guest, {str(taker.pk): 0.01 * (number + 1) for number, taker in enumerate(takers)})
    chart = body(viewer_client, guest, "takers")
    assert [line["label"] for line in chart["lines"]] == [*(f"taker{n}" for n in (7, 6, 5, 4, 3)), "3 others"]
    assert sum(newest(chart).values()) == pytest.approx(18, abs=0.5)
    assert len({line["color"] for line in chart["lines"]}) == 6


def test_nothing_recorded_is_nothing_drawn(victoria_metrics: str, guest: Domain, viewer_client: Client) -> None:
    for chart in viewer_client.get(f"/domains/{guest.pk}/cpu-charts.json").json()["charts"].values():
        assert not any(value for line in chart["lines"] for value in line["values"])
        assert chart["spread"] is None


def test_the_cells_that_its_vcpus_run_in(victoria_metrics: str, guest: Domain, viewer_client: Client) -> None:
    assert "places" not in viewer_client.get(f"/domains/{guest.pk}/cpu-charts.json").json()["charts"]
    cell = {"cpus": [0], "memory_kib": 1024, "distances": []}
    guest.host.cells = [{"id": 0, **cell}, {"id": 1, **cell}]
    guest.host.save()
    end = int(time.time())
    write(
        victoria_metrics,
        [
            f'vmdash_domain_cell_vcpus{{uuid="{guest.pk}",cell="{number}"}} {vcpus} {(end - 600 + seconds) * 1000}'
            for seconds in range(0, 600, 30)
            for number, vcpus in ((0, 2 if seconds < 300 else 0), (1, 0 if seconds < 300 else 2))
        ],
    )
    chart = body(viewer_client, guest, "places")
    assert newest(chart) == {"cell 0": 0, "cell 1": 2}
    [first, _] = [next(value for value in line["values"] if value is not None) for line in chart["lines"]]
    assert first == 2


@pytest.mark.parametrize(
    ("person", "status"), [("nobody", 403), ("viewer", 200), ("help_desk", 200), ("operator", 200)]
)
def test_who_may_see_them(
    victoria_metrics: str, guest: Domain, person: str, status: int, client_of: Callable[[User], Client],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    client = client_of(request.getfixturevalue(person))
    for form in ("json", "csv"):
        assert client.get(f"/domains/{guest.pk}/cpu-charts.{form}").status_code == status


def test_strangers_are_asked_to_sign_in(anonymous_client: Client, guest: Domain) -> None:
    assert anonymous_client.get(f"/domains/{guest.pk}/cpu-charts.json").status_code == 302
