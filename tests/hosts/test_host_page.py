"""The page of one host: what it is, how it is reached, what it has, and how old that is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from hosts.models import Host
from hosts.pages import ranges
from tests.factories import CredentialFactory, DomainFactory, HostFactory, JobFactory
from tests.hosts.test_list import keep_tick
from vmdash.access.models import User
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

CELLS = [
    {"id": 0, "cpus": [0, 1, 2, 3], "memory_kib": 8 * 2**20, "distances": [10, 21]},
    {"id": 1, "cpus": [4, 5, 6, 7], "memory_kib": 8 * 2**20, "distances": [21, 10]},
]
POOLS = [
    {
        "name": "fast",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "type": "dir",
        "state": "running",
        "autostart": True,
        "capacity_bytes": 100 * 2**30,
        "allocation_bytes": 10 * 2**30,
        "available_bytes": 25 * 2**30,
    },
    {
        "name": "tape",
        "uuid": "00000000-0000-0000-0000-000000000002",
        "type": "logical",
        "state": "inactive",
        "autostart": False,
        "capacity_bytes": 0,
        "allocation_bytes": 0,
        "available_bytes": 0,
    },
]


def new_host(**fields: Any) -> Host:
    return HostFactory.create(
        **{
            "name": "kvm1",
            "hostname": "kvm1.example.org",
            "hypervisor": "QEMU",
            "hypervisor_version": "7.2.22",
            "libvirt_version": "9.0.0",
            "arch": "x86_64",
            "cpu_model": "EPYC",
            "sockets": 2,
            "cores": 2,
            "threads": 1,
            "hardware_virtualization": False,
            "security_model": "apparmor",
            "cells": CELLS,
            "pools": POOLS,
            "networks": [
                {"name": "front", "uuid": "x", "active": True, "autostart": True, "bridge": "br7", "forward": "nat"}
            ],
            **fields,
        }
    )


def page(browser: Client) -> str:
    answer = browser.get("/hosts/kvm1/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_facts_pools_networks_and_connection_are_shown(viewer_client: Client) -> None:
    new_host(lacks=["memory statistics"], fast_interval_s=5)
    content = page(viewer_client)
    for text in (
        "kvm1.example.org",
        "QEMU 7.2.22",
        "x86_64 EPYC",
        "2 cells × 2 sockets × 2 cores × 1 thread",
        "none: guests are emulated and slow",
        "apparmor",
        "qemu+tcp://127.0.255.254/system",
        "5 s (CPU, steal), 10 s (the rest)",
        "distances 10 / 21",
        "75 %",
        "25 GiB",
        "br7",
        "Memory statistics",
    ):
        assert text in content, text


def test_live_figures_come_from_the_cache(viewer_client: Client) -> None:
    keep_tick(new_host(), cpu=43.0)
    assert '<b data-show="cpu">43 %</b>' in page(viewer_client)


def test_guests_are_listed_by_name_and_by_cell(viewer_client: Client) -> None:
    host = new_host()
    DomainFactory.create(host=host, name="db1", numa_cells=[1], addresses=["10.2.0.7"])
    DomainFactory.create(host=host, name="web1", state="paused", state_reason="io_error")
    DomainFactory.create(host=host, name="gone1", gone_at=timezone.now())
    DomainFactory.create(name="elsewhere1")
    content = page(viewer_client)
    for text in ("db1", "cell 1", "10.2.0.7", "web1", "paused", "disk I/O error"):
        assert text in content
    assert "gone1" not in content
    assert "elsewhere1" not in content
    assert "No guest has a memory policy for it." in content[content.index("Cell 0") : content.index("Cell 1")]
    assert ">db1</a>" in content[content.index("Cell 1") : content.index("Guests <")]


def test_an_unreachable_host_says_why_what_to_do_and_how_old_all_is(
    viewer_client: Client, administrator_client: Client
) -> None:
    new_host(
        state=Host.State.UNREACHABLE,
        state_reason="Cannot connect to kvm1: nothing listens on that port. Check the port.",
        last_seen_at=timezone.now() - timedelta(hours=3),
    )
    content = page(viewer_client)
    assert "nothing listens on that port. Check the port." in content
    assert "What you see is as it was <time" in content
    assert "3 h ago" in content
    assert "/hosts/kvm1/test/" not in content
    assert "/hosts/kvm1/test/" in page(administrator_client)


def test_a_host_that_was_never_seen_says_so(viewer_client: Client) -> None:
    HostFactory.create(name="kvm1", state=Host.State.NEW, last_seen_at=None)
    content = page(viewer_client)
    assert "Connecting for the first time" in content
    assert "Not known before the first connection" in content


def test_credentials_are_named_to_administrators_alone(viewer_client: Client, administrator_client: Client) -> None:
    new_host(credential=CredentialFactory.create(name="the-credential"))
    assert "the-credential" not in page(viewer_client)
    content = page(administrator_client)
    assert "the-credential" in content
    assert "sasl secret" not in content


def test_people_see_the_jobs_that_are_theirs_to_see(
    viewer_client: Client, viewer: User, operator_client: Client, operator: User
) -> None:
    host = new_host()
    fields = {"target_kind": "host", "target_id": str(host.pk), "host_name": "kvm1", "state": Job.State.SUCCEEDED}
    JobFactory.create(label="Theirs", requested_by=viewer, target_name="kvm1", **fields)
    JobFactory.create(label="Others", requested_by=operator, target_name="kvm1", **fields)
    assert "Theirs" in page(viewer_client)
    assert "Others" not in page(viewer_client)
    assert "Others" in page(operator_client)


def test_a_topology_that_does_not_add_up_over_cells_is_told_as_it_is(viewer_client: Client) -> None:
    new_host(cpus=4)
    content = page(viewer_client)
    assert "<dd>2 sockets × 2 cores × 1 thread</dd>" in content


@pytest.mark.parametrize(
    ("numbers", "words"), [([], ""), ([3], "3"), ([0, 1, 2, 3, 8], "0-3, 8"), ([9, 7, 8, 1], "1, 7-9")]
)
def test_cpu_numbers_are_told_in_ranges(numbers: list[int], words: str) -> None:
    assert ranges(numbers) == words
