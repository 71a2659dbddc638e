"""How much more a host has given than it has, in its page and in the list, the same as on the capacity page."""

from __future__ import annotations

import pytest
from django.test import Client

from hosts.models import Host
from hosts.overcommit import Given
from tests.factories import DomainFactory, HostFactory, TagFactory

pytestmark = pytest.mark.django_db

GIB = 1 << 20


@pytest.fixture
def kvm1() -> Host:
    """Two CPUs and 4 GiB, of which two active guests may use 5; a third is off."""
    host = HostFactory.create(name="kvm1", cpus=2, memory_kib=4 * GIB)
    DomainFactory.create(host=host, vcpus=2, max_memory_kib=3 * GIB)
    DomainFactory.create(host=host, vcpus=3, max_memory_kib=2 * GIB, state="paused")
    DomainFactory.create(host=host, vcpus=8, max_memory_kib=9 * GIB, state="shut_off")
    return host


def text_of(client: Client, address: str) -> str:
    return " ".join(client.get(address).content.decode().split())


def test_the_host_s_page_says_what_is_given_and_what_that_means(viewer_client: Client, kvm1: Host) -> None:
    text = text_of(viewer_client, "/hosts/kvm1/")
    assert "5 on 2 CPUs: <b>2.5 ×</b>" in text
    assert "each gets 40 % of a CPU" in text
    assert "5 GiB of 4 GiB" in text
    assert "1 GiB would be missing" in text


def test_the_list_has_the_figures_of_the_capacity_page(viewer_client: Client, kvm1: Host) -> None:
    for number in range(2):
        kvm1.tags.add(TagFactory.create(name=f"t{number}"))
    row = viewer_client.get("/hosts/").context["rows"][0]
    line = viewer_client.get("/capacity/").context["sheet"].hosts[0]
    assert (row.given.cpu_ratio, row.given.memory_ratio) == (line.cpu_ratio, line.memory_ratio) == (2.5, 1.25)
    text = text_of(viewer_client, "/hosts/")
    assert '2 <span class="faint">2.5 ×</span>' in text
    assert '4 GiB <span class="warn">1.2 ×</span>' in text
    filtered = viewer_client.get("/hosts/", {"tag": "t1"}).context["rows"][0]
    assert filtered.given == row.given


def test_what_fits_is_said_to_fit_and_what_is_not_known_is_nothing() -> None:
    assert Given(2, 2, 5, 5).cpu_words.startswith("A CPU for each vCPU")
    assert Given(2, 2, 5, 5).memory_words.startswith("All guests fit")
    assert (Given(2, 0, 5, 0).cpu_ratio, Given(2, 0, 5, 0).memory_words) == (None, "")
