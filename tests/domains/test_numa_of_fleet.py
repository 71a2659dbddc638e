"""Misplaced guests of the whole fleet: counted on its page, and found in the table of guests."""

from __future__ import annotations

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from domains.models import Domain, DomainState
from domains.numa import fleet
from tests.factories import DomainFactory, HostFactory
from tests.queries import queries_of
from tests.ticks import guest_sample, write_tick
from vmdash.access.models import User
from vmdash.live.redis import client

pytestmark = pytest.mark.django_db

CELLS = [
    {"id": 0, "cpus": [0, 1], "memory_kib": 2**24, "distances": []},
    {"id": 1, "cpus": [2, 3], "memory_kib": 2**24, "distances": []},
]


@pytest.fixture
def guests() -> dict[str, Domain]:
    """One is pinned away from its memory, one is spread over two cells, one is well, and one is off."""
    host = HostFactory.create(name="kvm1", cpus=4, cells=CELLS)
    found = {
        "away1": DomainFactory.create(host=host, name="away1", vcpus=1, numa_cells=[0], vcpu_pins={"0": [2]}),
        "wide1": DomainFactory.create(host=host, name="wide1", vcpus=2),
        "well1": DomainFactory.create(host=host, name="well1", vcpus=2),
        "off1": DomainFactory.create(
            host=host, name="off1", vcpus=1, numa_cells=[0], vcpu_pins={"0": [2]}, state=DomainState.SHUT_OFF
        ),
    }
    places = {found["away1"]: {0: 2}, found["wide1"]: {0: 1, 1: 2}, found["well1"]: {0: 0, 1: 1}}
    write_tick(host, {guest: guest_sample() for guest in places}, places=places)
    return found


def names(client: Client, query: str) -> list[str]:
    answer = client.get(reverse("guest-rows"), {"q": query})
    assert answer.status_code == 200
    return [row["name"] for row in answer.json()["rows"]]


def test_the_fleet_page_counts_them_and_leads_to_them(viewer_client: Client, guests: dict[str, Domain]) -> None:
    text = viewer_client.get("/").content.decode()
    assert "2 misplaced</a>" in text
    assert f'href="{reverse("guests")}?q=is:misplaced"' in text
    assert "away1" in viewer_client.get(reverse("guests"), {"q": "is:misplaced"}).content.decode()


def test_where_none_is_nothing_is_said(viewer_client: Client) -> None:
    DomainFactory.create(host=HostFactory.create(cells=CELLS))
    assert "misplaced</a>" not in viewer_client.get("/").content.decode()


def test_the_table_of_guests_finds_them(viewer_client: Client, guests: dict[str, Domain]) -> None:
    assert names(viewer_client, "is:misplaced") == ["away1", "wide1"]
    assert names(viewer_client, "is:misplaced wide") == ["wide1"]
    assert names(viewer_client, "-is:misplaced") == ["off1", "well1"]
    assert "<code>is:misplaced</code>" in viewer_client.get("/").content.decode(), "the help names it"


def test_of_figures_that_are_old_only_what_is_set_counts(guests: dict[str, Domain]) -> None:
    wide, away = guests["wide1"], guests["away1"]
    write_tick(wide.host, {wide: guest_sample()}, places={wide: {0: 1, 1: 2}}, age_s=3600)
    assert fleet.misplaced() == [str(away.pk)]


def test_what_was_found_is_kept_and_each_person_sees_their_own(
    guests: dict[str, Domain], viewer: User, nobody: User
) -> None:
    assert fleet.count_misplaced(viewer) == 2
    with CaptureQueriesContext(connection) as captured:
        assert len(fleet.misplaced()) == 2
    assert len(captured) == 0
    assert 0 < client().ttl(fleet.KEY) <= fleet.KEPT_S
    assert fleet.count_misplaced(nobody) == 0


def test_the_number_of_queries_does_not_grow(guests: dict[str, Domain]) -> None:
    few = queries_of(fleet.misplaced)
    client().delete(fleet.KEY)
    for number in range(5):
        host = HostFactory.create(cpus=4, cells=CELLS)
        guest = DomainFactory.create(host=host, name=f"wide{number}", vcpus=2)
        write_tick(host, {guest: guest_sample()}, places={guest: {0: 1, 1: 2}})
    assert queries_of(fleet.misplaced) == few == 2
    assert len(fleet.misplaced()) == 7


def test_without_the_live_cache_none_is_known(guests: dict[str, Domain], monkeypatch: pytest.MonkeyPatch) -> None:
    away = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
    monkeypatch.setattr(fleet, "client", lambda: away)
    assert fleet.misplaced() == []
