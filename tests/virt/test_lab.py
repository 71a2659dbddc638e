"""Real QEMU guests on real hosts, over each transport. Everything that is changed is put back."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest
from lxml import etree

from hosts.keys import generate_ssh_key
from tests.polling import poll
from vmdash.lab import faults
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt import errors, rates, stats
from vmdash.virt.connection import CloseReason, HostConnection
from vmdash.virt.console import serve_serial
from vmdash.virt.credentials import Credentials
from vmdash.virt.events import Event, GuestEvent, GuestEventKind, subscribe
from vmdash.virt.inventory import UnreadGuest
from vmdash.virt.probe import ProbeResult, probe
from vmdash.virt.states import GuestState
from vmdash.virt.uri import Driver, Endpoint, Transport

pytestmark = pytest.mark.lab

HOSTS = ("kvm1", "kvm2", "kvm3")
Booted = Callable[[str, str], QemuHost]
Open = Callable[[str], HostConnection]


def endpoint(host: QemuHost) -> Endpoint:
    entry = host.entry()
    return Endpoint(
        Driver(entry["driver"]),
        Transport(entry["transport"]),
        entry["address"],
        entry["port"],
        entry.get("username", ""),
        entry["path"],
    )


def credentials(host: QemuHost) -> Credentials:
    entry = host.entry()
    secret = entry["credential"]
    is_tls = secret["kind"] == "tls"
    return Credentials(
        sasl_username=secret.get("username", ""),
        sasl_password=secret.get("password", ""),
        tls_ca_pem=secret.get("ca_certificate", ""),
        tls_certificate_pem=secret.get("certificate", ""),
        tls_key_pem=secret["private_key"] if is_tls else "",
        ssh_private_key_pem=secret.get("private_key", "") if not is_tls else "",
        ssh_host_keys=entry.get("known_host_key", ""),
    )


def run_probe(where: Endpoint, what: Credentials, folder: Path, timeout_s: float = 30) -> ProbeResult:
    """Patient, for a machine that is busy with other tests."""
    return asyncio.run(probe(where, what, runtime_dir=folder, name="kvm", timeout_s=timeout_s))


@pytest.fixture
def open_host(lab_hosts: dict[str, QemuHost], tmp_path: Path) -> Iterator[Open]:
    """Opens a connection to one of the fleet's hosts."""
    opened: list[HostConnection] = []

    def connect(name: str) -> HostConnection:
        host = lab_hosts[name]
        connection = HostConnection.open(
            endpoint(host), credentials(host), runtime_dir=tmp_path / name, name=name, keepalive=(1, 2)
        )
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.mark.parametrize(("name", "auth"), [("kvm1", ("sasl",)), ("kvm2", ("none",)), ("kvm3", ("none",))], ids=HOSTS)
def test_a_probe_finds_the_host_and_libvirt_opens_it(
    lab_hosts: dict[str, QemuHost], open_host: Open, tmp_path: Path, name: str, auth: tuple[str, ...]
) -> None:
    found = run_probe(endpoint(lab_hosts[name]), credentials(lab_hosts[name]), tmp_path)
    assert found.auth == auth
    assert (found.certificate is not None) == (name == "kvm2")
    assert (found.host_key is not None) == (name == "kvm3")
    assert open_host(name).node.facts().hostname == name


def test_libssh_opens_the_same_host(lab_hosts: dict[str, QemuHost], tmp_path: Path) -> None:
    host = lab_hosts["kvm3"]
    where = replace(endpoint(host), transport=Transport.LIBSSH)
    assert run_probe(where, credentials(host), tmp_path).auth == ("none",)
    with HostConnection.open(where, credentials(host), runtime_dir=tmp_path, name="kvm3") as connection:
        assert connection.node.facts().hostname == "kvm3"


def test_a_confirmed_certificate_opens_the_host_without_its_ca(lab_hosts: dict[str, QemuHost], tmp_path: Path) -> None:
    host = lab_hosts["kvm2"]
    with pytest.raises(errors.CertificateUntrusted) as caught:
        run_probe(endpoint(host), replace(credentials(host), tls_ca_pem=""), tmp_path)
    assert caught.value.certificate is not None
    confirmed = replace(credentials(host), tls_ca_pem=caught.value.certificate.pem)
    run_probe(endpoint(host), confirmed, tmp_path)
    with HostConnection.open(endpoint(host), confirmed, runtime_dir=tmp_path, name="kvm2") as connection:
        assert connection.is_alive()


def test_a_wrong_password_is_refused(lab_hosts: dict[str, QemuHost], tmp_path: Path) -> None:
    host = lab_hosts["kvm1"]
    wrong = replace(credentials(host), sasl_password="wrong")
    with pytest.raises(errors.AuthenticationFailed) as caught:
        HostConnection.open(endpoint(host), wrong, runtime_dir=tmp_path, name="kvm1")
    assert caught.value.message == "Cannot connect to kvm1: it refused the credentials."


def test_an_ssh_host_is_confirmed_by_its_key_before_anything_else(
    lab_hosts: dict[str, QemuHost], tmp_path: Path
) -> None:
    host = lab_hosts["kvm3"]
    with pytest.raises(errors.HostKeyUnknown) as unknown:
        run_probe(endpoint(host), replace(credentials(host), ssh_host_keys=""), tmp_path)
    (key,) = unknown.value.host_keys
    assert key.sha256.startswith("SHA256:")
    assert run_probe(endpoint(host), replace(credentials(host), ssh_host_keys=key.line), tmp_path).host_key == key
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFWig10prbw/D1xc1uRI3qso1KINg61O4gKveMKRsHKu"
    with pytest.raises(errors.HostKeyChanged) as changed:
        run_probe(endpoint(host), replace(credentials(host), ssh_host_keys=other), tmp_path)
    assert changed.value.host_keys == (key,)


def test_an_ssh_login_with_another_key_is_refused(lab_hosts: dict[str, QemuHost], tmp_path: Path) -> None:
    host = lab_hosts["kvm3"]
    stranger = replace(credentials(host), ssh_private_key_pem=generate_ssh_key())
    with pytest.raises(errors.AuthenticationFailed, match="refused the login"):
        run_probe(endpoint(host), stranger, tmp_path)
    with pytest.raises(errors.HostError):
        HostConnection.open(endpoint(host), stranger, runtime_dir=tmp_path)


@pytest.mark.parametrize("name", HOSTS)
def test_a_hung_daemon_is_found_by_the_probe_and_by_keepalive(
    lab_hosts: dict[str, QemuHost], open_host: Open, tmp_path: Path, name: str
) -> None:
    host, connection = lab_hosts[name], open_host(name)
    closed: Queue[CloseReason] = Queue()
    connection.on_close(closed.put)
    with faults.hung_libvirtd(host):
        with pytest.raises(errors.HostHung):
            run_probe(endpoint(host), credentials(host), tmp_path, timeout_s=5)
        assert closed.get(timeout=20) is CloseReason.KEEPALIVE
    assert run_probe(endpoint(host), credentials(host), tmp_path).auth


def test_a_missing_daemon_behind_ssh_is_told_from_a_missing_host(
    lab_hosts: dict[str, QemuHost], tmp_path: Path
) -> None:
    host = lab_hosts["kvm3"]
    with faults.killed_libvirtd(host), pytest.raises(errors.LibvirtMissing):
        run_probe(endpoint(host), credentials(host), tmp_path)


def test_the_facts_of_a_host(open_host: Open) -> None:
    facts = open_host("kvm3").node.facts()
    assert (facts.hypervisor, facts.arch, facts.hardware_virtualization) == ("QEMU", "x86_64", False)
    assert facts.hypervisor_version.startswith(("7.", "8.", "9.", "10."))
    assert [cell.distances for cell in facts.cells] == [((0, 10), (1, 20)), ((0, 20), (1, 10))]
    assert facts.memory_kib > 0


def test_the_use_of_a_host_and_its_cells(open_host: Open) -> None:
    node = open_host("kvm3").node
    cpu, memory = node.cpu_stats(per_cpu=True), node.memory_stats()
    assert cpu.total.idle_ns > 0
    assert len(cpu.cells) == len(memory.cells) == 2
    assert 0 < memory.total.free_kib < memory.total.total_kib
    assert node.free_memory_kib() > 0


def test_the_inventory_of_a_host(open_host: Open) -> None:
    connection = open_host("kvm2")
    facts = {one[0].name: one[0] for one in connection.inventory() if not isinstance(one, UnreadGuest)}
    assert facts["git"].status.words.startswith("paused")  # why, depends on what was done with it before
    assert facts["backup1"].libvirt_id is None
    assert facts["wiki"].autostart
    disks = {guest.name: guest.definition().disks for guest in connection.guests()}
    assert [image.format for image in disks["wiki"][0].backing] == ["qcow2"]
    assert disks["mail1"][0].backing == ()


def test_two_guests_on_one_cpu_steal_from_each_other(open_host: Open, booted: Booted) -> None:
    booted("kvm1", "ci-7")
    booted("kvm1", "build-2")
    connection = open_host("kvm1")

    def reading() -> tuple[float, dict[str, stats.GuestStats]]:
        return time.monotonic(), {one.name: one for one in stats.fast(connection)}

    began, before = reading()

    def stolen() -> list[float]:
        now, after = reading()
        both = (rates.cpu(before[name], after[name], now - began) for name in ("ci-7", "build-2"))
        return [one.steal_worst for one in both if one and one.steal_worst and one.steal_worst > 0.05]

    assert len(poll(lambda: found if len(found := stolen()) == 2 else None, 30, "steal") or ()) == 2


def test_the_slow_statistics_come_from_qemu(open_host: Open, booted: Booted) -> None:
    booted("kvm1", "db1")
    connection = open_host("kvm1")
    (one,) = stats.slow(connection, [connection.guest_named("db1")])
    told = one.raw.get
    assert told("balloon.current") == told("balloon.maximum") == 131072
    assert told("block.0.name") == "vda"
    assert told("block.0.wr.bytes", 0) > 0
    assert told("net.0.rx.pkts", 0) > 0


def test_both_tiers_in_one_call_tell_what_each_tells(open_host: Open, booted: Booted) -> None:
    booted("kvm1", "db1")
    connection = open_host("kvm1")
    both, fast = ({one.name: one for one in read(connection)} for read in (stats.both, stats.fast))
    (slow,) = stats.slow(connection, [connection.guest_named("db1")])
    assert both.keys() == fast.keys()
    assert both["db1"].fast().raw.layout is fast["db1"].raw.layout
    names = {*fast["db1"].raw.layout.names, *slow.raw.layout.names}
    assert {*both["db1"].raw.layout.names} == names
    assert slow.raw.get("block.0.wr.bytes", 0) >= both["db1"].raw.get("block.0.wr.bytes", 0) > 0


def test_the_agent_tells_of_its_guest(open_host: Open, booted: Booted) -> None:
    booted("kvm1", "web1")
    guest = open_host("kvm1").guest_named("web1")
    told = guest.agent_info(timeout_s=10)
    assert told.hostname == "web1"
    assert any(address.startswith("10.90.") for one in told.interfaces for address in one.addresses)
    assert guest.definition().agent_connected is True


def test_an_agent_that_is_not_there_does_not_hold_us_up(open_host: Open) -> None:
    guest = open_host("kvm2").guest_named("git")  # paused
    with pytest.raises((errors.AgentUnresponsive, errors.InvalidState)):
        guest.agent_info(timeout_s=1)
    with pytest.raises(errors.GuestNotRunning):
        open_host("kvm2").guest_named("backup1").agent_info()


def test_a_screenshot_is_an_image(open_host: Open, booted: Booted) -> None:
    booted("kvm1", "web1")
    shot = open_host("kvm1").guest_named("web1").screenshot()
    assert shot.mime in ("image/png", "image/x-portable-pixmap")
    assert shot.data[:4] == b"\x89PNG" or shot.data[:2] == b"P6"


def test_a_vnc_password_is_set_with_its_end(lab_hosts: dict[str, QemuHost], open_host: Open) -> None:
    guest = open_host("kvm1").guest_named("web2")
    before = guest.graphics()
    until = datetime.now(UTC) + timedelta(seconds=30)
    guest.set_vnc_password("a\"<&'é"[:5], until)
    document = etree.fromstring(guest.xml(secure=True).encode())
    graphics = document.find("./devices/graphics")
    assert graphics is not None
    assert graphics.get("passwd") == "a\"<&'"
    assert graphics.get("passwdValidTo") == until.strftime("%Y-%m-%dT%H:%M:%S")
    assert guest.graphics() == before
    assert "passwd=" not in guest.xml()
    guest.set_vnc_password(lab_hosts["kvm1"].credentials.vnc_password, None)


@pytest.mark.parametrize(("name", "guest"), [("kvm1", "web2"), ("kvm2", "wiki"), ("kvm3", "cache1")], ids=HOSTS)
def test_a_serial_console_carries_bytes_both_ways(open_host: Open, booted: Booted, name: str, guest: str) -> None:
    booted(name, guest)
    console = open_host(name).guest_named(guest)
    ours, theirs = socket.socketpair()
    serving = threading.Thread(target=serve_serial, args=(console, theirs))
    serving.start()
    with ours, theirs:
        ours.settimeout(10)
        ours.sendall(b"\recho $((6*7))x$((2+3)); seq 1 5000; echo en''d\r")
        received = b""
        while b"\nend" not in received.replace(b"\r", b""):
            received += ours.recv(4096)
        assert b"42x5" in received
        lines = received.replace(b"\r", b"").split(b"\n")
        assert sum(line.isdigit() for line in lines) >= 5000
        other, unused = socket.socketpair()
        with other, unused, pytest.raises(errors.ResourceBusy):
            serve_serial(console, unused)
        ours.shutdown(socket.SHUT_RDWR)
        serving.join(10)
        assert not serving.is_alive()


def test_a_console_of_a_guest_that_is_off_says_so(open_host: Open) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(errors.GuestNotRunning):
        serve_serial(open_host("kvm2").guest_named("backup1"), theirs)


def test_what_virsh_does_is_told_at_once(lab_hosts: dict[str, QemuHost], open_host: Open) -> None:
    seen: Queue[Event] = Queue()
    connection = open_host("kvm3")
    subscription = subscribe(connection, seen.put)
    lab_hosts["kvm3"].virsh("suspend", "queue1")
    event = seen.get(timeout=5)
    guest = connection.guest_named("queue1")
    assert event == GuestEvent(guest.uuid, "queue1", GuestEventKind.SUSPENDED, "paused")
    assert guest.status().state is GuestState.PAUSED
    guest.resume()
    assert seen.get(timeout=5) == GuestEvent(guest.uuid, "queue1", GuestEventKind.RESUMED, "unpaused")
    subscription.close()


def test_a_guest_is_started_and_forced_off(open_host: Open) -> None:
    guest = open_host("kvm3").guest_named("legacy-erp")
    guest.start()
    with pytest.raises(errors.GuestAlreadyRunning):
        guest.start()
    guest.destroy()
    with pytest.raises(errors.GuestNotRunning):
        guest.destroy()
    assert guest.status().words == "shut off: forced off"
    assert guest.vcpus() == []
