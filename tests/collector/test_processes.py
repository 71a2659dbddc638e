"""Collectors as processes: they share the hosts, follow each other, end in order."""

from __future__ import annotations

import pytest

from domains.models import Domain
from hosts.models import Host
from tests.collector.conftest import NO_SWEEP
from tests.collector.waiting import AddHost, StartCollector, wait_for_state, wait_until
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from vmdash.live.redis import client, lease_key

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sweep_corrects_what_no_event_told(
    start_collector: StartCollector, add_host: AddHost, libvirtd: TestDriverHost
) -> None:
    start_collector(SWEEP_INTERVAL_S=2)
    add_host(libvirtd)
    handle = libvirtd.define("web1")
    wait_for_state("web1", "shut_off", 15)
    handle.set_autostart(True)
    poll(lambda: Domain.objects.filter(name="web1", autostart=True).exists(), 10, "autostart to be seen")

    Domain.objects.all().delete()

    assert wait_for_state("web1", "shut_off", 10).autostart
    handle.undefine()


def test_a_collector_that_is_killed_is_replaced_by_another(
    start_collector: StartCollector, add_host: AddHost, libvirtd: TestDriverHost
) -> None:
    first = start_collector(**NO_SWEEP)
    add_host(libvirtd)
    wait_for_state("test", "running", 15)
    start_collector(**NO_SWEEP)

    first.kill()
    handle = libvirtd.define("web1")

    wait_for_state("web1", "shut_off", 15)
    handle.undefine()


def test_a_collector_that_is_asked_to_end_hands_over_at_once(
    start_collector: StartCollector, add_host: AddHost, libvirtd: TestDriverHost
) -> None:
    first = start_collector(LEASE_S=600, **NO_SWEEP)
    host = add_host(libvirtd)
    wait_for_state("test", "running", 15)

    assert first.terminate() == 0

    assert not client().exists(lease_key(host.pk))
    assert "Traceback" not in first.log
    start_collector(**NO_SWEEP)
    poll(lambda: client().exists(lease_key(host.pk)), what="the other to take over")


def test_two_collectors_share_the_hosts(
    start_collector: StartCollector, add_host: AddHost, libvirtd: TestDriverHost
) -> None:
    hosts = [add_host(libvirtd) for _ in range(4)]
    start_collector(**NO_SWEEP)
    start_collector(**NO_SWEEP)

    def holders() -> list[str]:
        leases = client().mget([lease_key(host.pk) for host in hosts])
        return [str(lease).partition(":")[0] for lease in leases if lease]

    poll(lambda: sorted(map(holders().count, set(holders()))) == [2, 2], 15, "each to hold two hosts")


def test_a_collector_with_too_many_stuck_threads_ends_to_be_started_anew(
    start_collector: StartCollector, add_host: AddHost, libvirtd: TestDriverHost
) -> None:
    collector = start_collector(MAX_STUCK_THREADS=1, **NO_SWEEP)
    hosts = [add_host(libvirtd) for _ in range(3)]
    for host in hosts:
        wait_until(host, Host.State.UP)

    libvirtd.freeze()
    try:
        assert collector.status(20) == 1
    finally:
        libvirtd.thaw()

    assert not client().exists(*(lease_key(host.pk) for host in hosts))
    assert "hang in libvirt" in collector.log
