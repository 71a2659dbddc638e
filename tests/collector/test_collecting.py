"""A collector at work: what happens on a host is soon in the database and in the live cache."""

from __future__ import annotations

from uuid import UUID

import pytest

from domains.models import Domain
from hosts.announce import announce_changed
from hosts.models import Host
from tests.collector.process import CollectorProcess
from tests.collector.waiting import AddHost, guest, wait_for_state, wait_until
from tests.libvirtd import TestDriverHost
from tests.polling import poll
from tests.services import free_port
from vmdash.live.cache import ticks
from vmdash.live.redis import client, lease_key, refresh_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watched(collector: CollectorProcess, add_host: AddHost, libvirtd: TestDriverHost) -> Host:
    """A host with the test driver's guest "test", under the eyes of a collector."""
    host = add_host(libvirtd, name="kvm1")
    wait_for_state("test", "running", 15)
    return host


def test_a_new_host_is_connected_and_described(watched: Host) -> None:
    wait_until(watched, Host.State.UP)
    poll(lambda: Host.objects.filter(pools__0__name="default-pool").exclude(cells=[]).exists(), what="the host's facts")
    watched.refresh_from_db()

    assert watched.hypervisor == "TEST"
    assert len(watched.cells) == 2
    assert {pool["name"] for pool in watched.pools} == {"default-pool"}
    assert {network["name"] for network in watched.networks} == {"default"}
    assert "guest statistics" not in watched.lacks
    assert watched.last_seen_at


def test_every_change_with_an_event_is_seen(watched: Host, libvirtd: TestDriverHost) -> None:
    handle = libvirtd.define("web1")
    assert wait_for_state("web1", "shut_off").state_since_known

    handle.start()
    wait_for_state("web1", "running")
    handle.suspend()
    assert wait_for_state("web1", "paused").state_reason == "user"
    handle.resume()
    wait_for_state("web1", "running")
    handle.destroy()
    assert wait_for_state("web1", "shut_off").state_reason == "destroyed"
    handle.undefine()
    poll(lambda: not guest("web1"), what="web1 to be gone")

    gone = Domain.objects.get(name="web1")
    assert (gone.gone_at is not None, gone.uuid) == (True, UUID(handle.uuid))


def test_a_renamed_guest_keeps_its_row(watched: Host, libvirtd: TestDriverHost) -> None:
    handle = libvirtd.define("old-name")
    before = wait_for_state("old-name", "shut_off")

    handle.rename("new-name")

    poll(lambda: guest("new-name"), what="the new name")
    assert Domain.objects.get(name="new-name").uuid == before.uuid
    handle.undefine()


def test_the_live_cache_has_the_host_s_figures(watched: Host) -> None:
    tick = poll(lambda: ticks([watched.pk]).get(watched.pk), what="a tick")
    assert tick

    assert tick["interval_ms"] == 1000
    assert (tick["sample"]["running"], tick["sample"]["guests"]) == (1, 1)
    assert [guest.name for guest in Domain.objects.filter(pk__in=tick["guests"])] == ["test"]
    assert client().ttl(f"vmdash:tick:{watched.pk}") > 24 * 3600


def test_a_request_has_a_guest_read_again_at_once(watched: Host, libvirtd: TestDriverHost) -> None:
    handle = libvirtd.define("web1")
    wait_for_state("web1", "shut_off")
    handle.set_autostart(True)

    client().rpush(refresh_key(watched.pk), handle.uuid)

    poll(lambda: Domain.objects.filter(name="web1", autostart=True).exists(), what="autostart to be seen")
    handle.undefine()


def test_a_disabled_host_is_left_alone_and_its_guests_stay_as_they_were(
    watched: Host, libvirtd: TestDriverHost
) -> None:
    Host.objects.update(enabled=False)
    announce_changed(watched.pk)
    poll(lambda: not client().exists(lease_key(watched.pk)), what="the lease to be given back")

    handle = libvirtd.define("web1")

    Host.objects.update(enabled=True)
    announce_changed(watched.pk)
    wait_for_state("web1", "shut_off", 15)
    assert not Domain.objects.get(name="web1").state_since_known
    assert guest("test")
    handle.undefine()


def test_a_host_whose_address_changed_is_connected_anew(watched: Host, libvirtd: TestDriverHost) -> None:
    Host.objects.update(port=free_port())
    announce_changed(watched.pk)
    wait_until(watched, Host.State.UNREACHABLE)
    assert "nothing listens on that port" in watched.state_reason

    Host.objects.update(port=libvirtd.port)
    announce_changed(watched.pk)

    wait_until(watched, Host.State.UP)
    assert watched.state_reason == ""


def test_a_hung_host_is_said_to_be_disturbs_no_other_and_comes_back(
    watched: Host, add_host: AddHost, libvirtd: TestDriverHost
) -> None:
    other = TestDriverHost()
    try:
        hung = add_host(other, name="hung")
        poll(lambda: hung.sightings.exists(), 15, "its guest")
        other.freeze()
        wait_until(hung, Host.State.UNREACHABLE)
        assert "hung" in hung.state_reason
        assert hung.sightings.get().state == "running"

        handle = libvirtd.define("web1")
        wait_for_state("web1", "shut_off")
        handle.undefine()

        other.thaw()
        wait_until(hung, Host.State.UP)
    finally:
        other.stop()
