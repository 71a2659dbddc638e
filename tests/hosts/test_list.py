"""The list of hosts: what it shows, its order and filters, and that it stays quick."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, SiteFactory, TagFactory
from vmdash.live.messages import Tick
from vmdash.live.redis import client, tick_key

pytestmark = pytest.mark.django_db


def keep_tick(host: Host, *, cpu: float = 40.0) -> None:
    """As the collector leaves it in the live cache."""
    tick: Tick = {
        "type": "tick",
        "host": host.pk,
        "at": int(time.time() * 1000),
        "interval_ms": 2000,
        "sample": {
            "cpu": cpu,
            "steal": 3.0,
            "mem": 4 * 2**20,
            "mem_total": 16 * 2**20,
            "running": 1,
            "vcpus": 1,
            "guests": 2,
            "slow_at": None,
        },
        "guests": {},
        "blames": {},
        "cells": [],
        "places": {},
        "looked_at": None,
    }
    client().set(tick_key(host.pk), orjson.dumps(tick))


def names(answer: Any) -> list[str]:
    return [row.host.name for row in answer.context["rows"]]


def test_an_empty_fleet_says_how_to_begin(administrator_client: Client, viewer_client: Client) -> None:
    assert "Add host" in administrator_client.get("/hosts/").content.decode()
    content = viewer_client.get("/hosts/").content.decode()
    assert "An administrator adds" in content
    assert "Add host" not in content


def test_a_row_tells_state_size_guests_and_figures(viewer_client: Client) -> None:
    host = HostFactory.create(
        name="kvm1", site=SiteFactory.create(name="Zürich"), hypervisor="QEMU", libvirt_version="9.0.0"
    )
    host.tags.add(TagFactory.create(name="production"))
    DomainFactory.create(host=host, state="running")
    DomainFactory.create(host=host, state="shut_off")
    DomainFactory.create(host=host, state="running", gone_at=timezone.now())
    keep_tick(host)
    answer = viewer_client.get("/hosts/")
    [row] = answer.context["rows"]
    assert (row.guests, row.running, row.cpu, row.steal, row.memory) == (2, 1, 40.0, 3.0, 25.0)
    content = answer.content.decode()
    for text in ("connected", "Zürich", "production", "QEMU", "9.0.0", "16 GiB", "40 %", "25 %", "3 %"):
        assert text in content


def test_why_a_host_is_not_read_is_told(viewer_client: Client) -> None:
    HostFactory.create(state=Host.State.UNREACHABLE, state_reason="Nothing listens there. Check the port.")
    content = viewer_client.get("/hosts/").content.decode()
    assert "does not answer" in content
    assert "Nothing listens there. Check the port." in content


def test_unknown_figures_are_dashes(viewer_client: Client) -> None:
    HostFactory.create()
    [row] = viewer_client.get("/hosts/").context["rows"]
    assert (row.cpu, row.steal, row.memory) == (None, None, None)


def test_filters_stand_in_the_url(viewer_client: Client) -> None:
    site = SiteFactory.create(name="Lab")
    tag = TagFactory.create(name="old")
    a = HostFactory.create(name="a", site=site, description="rack 4")
    b = HostFactory.create(name="b", state=Host.State.UNREACHABLE)
    c = HostFactory.create(name="c", enabled=False)
    b.tags.add(tag)
    assert names(viewer_client.get("/hosts/")) == [a.name, b.name, c.name]
    assert names(viewer_client.get("/hosts/?state=unreachable")) == ["b"]
    assert names(viewer_client.get("/hosts/?state=disabled")) == ["c"]
    assert names(viewer_client.get("/hosts/?site=Lab")) == ["a"]
    assert names(viewer_client.get("/hosts/?tag=old")) == ["b"]
    assert names(viewer_client.get("/hosts/?q=rack")) == ["a"]


@pytest.mark.parametrize("question", ["state=odd", "sort=odd", "site=nowhere", "tag=none", "q=" + "x" * 300])
def test_a_filter_that_means_nothing_is_an_error(viewer_client: Client, question: str) -> None:
    HostFactory.create(name="kvm1")
    answer = viewer_client.get(f"/hosts/?{question}")
    assert answer.status_code == 400
    assert not answer.context["rows"]


def test_every_column_sorts_both_ways(viewer_client: Client) -> None:
    for number in range(3):
        keep_tick(HostFactory.create(name=f"kvm{number}", cpus=8 * number), cpu=90.0 - number)
    assert names(viewer_client.get("/hosts/?sort=-cpus")) == ["kvm2", "kvm1", "kvm0"]
    assert names(viewer_client.get("/hosts/?sort=-cpu")) == ["kvm0", "kvm1", "kvm2"]
    for column in viewer_client.get("/hosts/").context["columns"]:
        assert viewer_client.get("/hosts/", {"sort": column.next_sort}).status_code == 200


def test_the_number_of_queries_does_not_grow_with_hosts(
    viewer_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        host = HostFactory.create(site=SiteFactory.create())
        host.tags.add(TagFactory.create())
        DomainFactory.create(host=host)
    with django_assert_max_num_queries(14):
        viewer_client.get("/hosts/")


def test_names_are_shown_as_text(viewer_client: Client) -> None:
    HostFactory.create(description="<script>alert(1)</script>", state=Host.State.REFUSED, state_reason="<b>no</b>")
    content = viewer_client.get("/hosts/").content.decode()
    assert "<b>no</b>" not in content
