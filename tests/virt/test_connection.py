"""Live connections: to a driver in this process, and to real daemons that come and go."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from tests.libvirtd import Libvirtd
from vmdash.exceptions import NotFound
from vmdash.virt import errors
from vmdash.virt.connection import CloseReason, HostConnection
from vmdash.virt.credentials import Credentials
from vmdash.virt.guest import GuestFacts
from vmdash.virt.inventory import UnreadGuest
from vmdash.virt.states import GuestState
from vmdash.virt.uri import Driver, Endpoint, Transport

NEW_GUEST = """
<domain type='test'>
  <name>web2</name>
  <uuid>44444444-4444-4444-4444-444444444444</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type>hvm</type></os>
</domain>
"""


def open_to(daemon: Libvirtd, folder: Path, keepalive: tuple[int, int] | None = (1, 1)) -> HostConnection:
    return HostConnection.open(daemon.endpoint, runtime_dir=folder, name="kvm1", keepalive=keepalive)


def test_a_host_lists_its_guests(host: HostConnection) -> None:
    assert [guest.name for guest in host.guests()] == ["web1"]
    assert host.guest("11111111-1111-1111-1111-111111111111").name == "web1"
    assert host.guest_named("web1").uuid == "11111111-1111-1111-1111-111111111111"


def test_a_definition_makes_a_guest(host: HostConnection) -> None:
    guest = host.define(NEW_GUEST)
    assert guest.status().state is GuestState.SHUT_OFF
    assert {one.name for one in host.guests()} == {"web1", "web2"}


def test_a_definition_that_is_none_is_refused(host: HostConnection) -> None:
    with pytest.raises(errors.InvalidDefinition) as caught:
        host.define("<domain>")
    assert caught.value.message == "Cannot define the guest on kvm1: the XML definition is not valid."


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        (lambda host: host.guest("99999999-9999-9999-9999-999999999999"), errors.GuestNotFound),
        (lambda host: host.guest_named("nobody"), errors.GuestNotFound),
        (lambda host: host.pool("nowhere"), errors.PoolNotFound),
        (lambda host: host.network("none"), errors.NetworkNotFound),
    ],
)
def test_what_is_not_there_is_not_found(host: HostConnection, find: object, expected: type[errors.CallError]) -> None:
    assert issubclass(expected, NotFound)
    with pytest.raises(expected, match="on kvm1"):
        find(host)  # type: ignore[operator]


def test_the_inventory_agrees_with_what_each_guest_says(host: HostConnection) -> None:
    host.define(NEW_GUEST).set_autostart(True)
    read = [one[0] for one in host.inventory() if not isinstance(one, UnreadGuest)]
    inventory = {facts.name: replace(facts, cpu_time_ns=0) for facts in read}
    assert inventory == {guest.name: replace(guest.facts(), cpu_time_ns=0) for guest in host.guests()}
    assert inventory["web2"] == GuestFacts(
        uuid="44444444-4444-4444-4444-444444444444",
        name="web2",
        status=inventory["web2"].status,
        libvirt_id=None,
        persistent=True,
        autostart=True,
        has_managed_save=False,
        vcpus=1,
        memory_kib=65536,
        max_memory_kib=65536,
        cpu_time_ns=0,
    )


def test_a_read_only_connection_refuses_to_act(daemon: Libvirtd, tmp_path: Path) -> None:
    with HostConnection.open(daemon.endpoint, runtime_dir=tmp_path, name="kvm1", read_only=True) as connection:
        guest = connection.guest_named("test")
        assert guest.status().state is GuestState.RUNNING
        with pytest.raises(errors.CallRefused):
            guest.suspend()


def test_a_connection_over_tls_works(tls_daemon: Libvirtd, tls_credentials: Credentials, tmp_path: Path) -> None:
    with HostConnection.open(tls_daemon.tls_endpoint, tls_credentials, runtime_dir=tmp_path) as connection:
        assert connection.name == "127.0.0.1"
        assert [guest.name for guest in connection.guests()] == ["test"]


def test_a_daemon_that_is_not_there_is_an_error_and_not_a_traceback(daemon: Libvirtd, tmp_path: Path) -> None:
    daemon.kill()
    with pytest.raises(errors.PortClosed):
        open_to(daemon, tmp_path)


def test_a_hypervisor_the_daemon_does_not_know_is_told(daemon: Libvirtd, tmp_path: Path) -> None:
    endpoint = Endpoint(Driver.BHYVE, Transport.TCP, "127.0.0.1", daemon.port)
    with pytest.raises(errors.DriverMissing):
        HostConnection.open(endpoint, runtime_dir=tmp_path)


def test_the_end_of_a_daemon_is_told(daemon: Libvirtd, tmp_path: Path) -> None:
    closed: Queue[CloseReason] = Queue()
    connection = open_to(daemon, tmp_path)
    connection.on_close(closed.put)
    daemon.kill()
    assert closed.get(timeout=5) in (CloseReason.EOF, CloseReason.ERROR)  # as the kernel happens to tell it
    assert not connection.is_alive()
    with pytest.raises(errors.ConnectionLost):
        connection.guests()
    connection.close()


def test_keepalive_ends_a_call_that_is_stuck_in_a_hung_daemon(daemon: Libvirtd, tmp_path: Path) -> None:
    closed: Queue[CloseReason] = Queue()
    connection = open_to(daemon, tmp_path)
    connection.on_close(closed.put)
    daemon.freeze()
    with pytest.raises(errors.ConnectionLost):
        connection.guests()
    assert closed.get(timeout=5) is CloseReason.KEEPALIVE
    connection.close()
    daemon.thaw()


def test_our_own_closing_is_no_event_and_may_be_repeated(daemon: Libvirtd, tmp_path: Path) -> None:
    closed: Queue[CloseReason] = Queue()
    connection = open_to(daemon, tmp_path)
    connection.on_close(closed.put)
    assert connection.is_alive()
    connection.close()
    connection.close()
    assert not connection.is_alive()
    assert closed.empty()
    with pytest.raises(errors.ConnectionLost):
        connection.guests()


def test_connections_to_several_hosts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    frozen, well = Libvirtd(), Libvirtd()
    try:
        stuck, free = (open_to(daemon, tmp_path, keepalive=(2, 1)) for daemon in (frozen, well))
        frozen.freeze()
        caught: Queue[type[Exception]] = Queue()

        def ask() -> None:
            try:
                stuck.guests()
            except errors.HostError as error:
                caught.put(type(error))

        waiting = threading.Thread(target=ask)
        waiting.start()
        assert [guest.name for guest in free.guests()] == ["test"]
        assert caught.empty()
        waiting.join()
        assert caught.get_nowait() is errors.ConnectionLost
        stuck.close()
        free.close()
    finally:
        frozen.stop()
        well.stop()
