"""What a practice guest offers: agent, consoles, load."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.polling import poll
from vmdash.lab.commands import run
from vmdash.lab.qemu_host import QemuHost

pytestmark = pytest.mark.lab

Booted = Callable[[str, str], QemuHost]


@pytest.mark.parametrize(("host", "guest"), [("kvm1", "web1"), ("kvm2", "wiki"), ("kvm3", "queue1")])
def test_the_guest_agent_reports_the_guests_address(booted: Booted, host: str, guest: str) -> None:
    kvm = booted(host, guest)

    addresses = kvm.virsh("domifaddr", guest, "--source", "agent")

    assert re.search(rf"eth0.* 10\.90\.{kvm.lab.net}\.\d+/24", addresses)


def test_guests_of_different_hosts_are_on_one_network(booted: Booted) -> None:
    kvm1 = booted("kvm1", "web1")
    booted("kvm2", "wiki")

    assert "0% packet loss" in _answer_on_serial_console(
        kvm1, "web1", f"ping -c 1 {kvm1.lab.guest_address(21)}", "loss"
    )


@pytest.mark.parametrize(("host", "guest"), [("kvm1", "web2"), ("kvm2", "mail1"), ("kvm3", "cache1")])
def test_the_serial_console_has_a_shell_that_answers(booted: Booted, host: str, guest: str) -> None:
    kvm = booted(host, guest)

    assert f"{guest} says 42" in _answer_on_serial_console(kvm, guest, "echo $(hostname) says $((6 * 7))", "says 42")


@pytest.mark.parametrize(("host", "guest"), [("kvm1", "web1"), ("kvm2", "git"), ("kvm3", "cache1")])
def test_vnc_listens_on_the_hosts_address_and_wants_a_password(
    lab_hosts: dict[str, QemuHost], host: str, guest: str
) -> None:
    display = urlsplit(lab_hosts[host].virsh("domdisplay", guest).strip())
    assert display.hostname == lab_hosts[host].address
    assert display.port is not None

    with socket.create_connection((display.hostname, 5900 + display.port), timeout=5) as client:
        stream = client.makefile("rwb", buffering=0)
        assert stream.readline() == b"RFB 003.008\n"
        stream.write(b"RFB 003.008\n")
        security_types = stream.read(stream.read(1)[0])

    assert security_types == b"\x02"  # VNC authentication alone


def test_the_burners_take_cpu_time_from_each_other(lab_hosts: dict[str, QemuHost], booted: Booted) -> None:
    kvm1 = booted("kvm1", "ci-7")
    booted("kvm1", "build-2")
    before = {name: _delay_ns(kvm1, name) for name in ("ci-7", "build-2")}

    def both_waited() -> bool:
        return all(_delay_ns(kvm1, name) - since > 200_000_000 for name, since in before.items())

    poll(both_waited, deadline_s=60, what="both to wait for their CPU for 0.2 s")


def test_memory_of_one_guest_is_bound_to_one_of_two_simulated_cells(lab_hosts: dict[str, QemuHost]) -> None:
    kvm3 = lab_hosts["kvm3"]

    assert kvm3.virsh("capabilities").count("<cell id=") == 2
    assert re.search(r"numa_nodeset *: 0\b", kvm3.virsh("numatune", "cache1"))


@pytest.mark.parametrize("mode", ["agent", "acpi"])
def test_a_guest_shuts_down_when_asked(booted: Booted, mode: str) -> None:
    kvm2 = booted("kvm2", "wiki")

    kvm2.virsh("shutdown", "wiki", "--mode", mode)
    try:
        poll(lambda: "shut off" in kvm2.virsh("domstate", "wiki"), deadline_s=60, what="wiki to shut down")
    finally:
        if "shut off" in kvm2.virsh("domstate", "wiki"):
            kvm2.virsh("start", "wiki")


def test_a_running_guest_moves_to_another_host(booted: Booted, lab_hosts: dict[str, QemuHost]) -> None:
    kvm1, kvm2 = booted("kvm1", "web2"), lab_hosts["kvm2"]

    for source, target in ((kvm1, kvm2), (kvm2, kvm1)):
        options = ["--live", "--unsafe", "--persistent", "--undefinesource"]
        run(["virsh", "-c", source.uri, "migrate", *options, "web2", target.uri], timeout_s=120)
        assert "running" in target.virsh("domstate", "web2")


def _delay_ns(host: QemuHost, guest: str) -> int:
    match = re.search(r"vcpu\.0\.delay=(\d+)", host.virsh("domstats", "--vcpu", guest))
    assert match
    return int(match[1])


def _answer_on_serial_console(host: QemuHost, guest: str, command: str, expected: str) -> str:
    """Type `command` into the serial console, as a person with virsh would, and read until `expected` comes back."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            ["virsh", "-c", host.uri, "console", "--force", guest], stdin=theirs, stdout=theirs, stderr=theirs
        ) as virsh:
            os.close(theirs)
            try:
                # virsh throws away what was typed before it is ready, so this is typed until the shell answers.
                _read_until(ours, "#", typing="\n")
                _read_until(ours, command, typing=f"{command}\n")  # the echo
                return _read_until(ours, expected)
            finally:
                virsh.kill()  # a polite end waits for a terminal that nobody reads any more
    finally:
        os.close(ours)


def _read_until(terminal: int, expected: str, *, typing: str = "", deadline_s: float = 60) -> str:
    """Read until `expected` comes, typing `typing` anew after every two seconds of silence."""
    text, end = "", time.monotonic() + deadline_s
    os.write(terminal, typing.encode())
    while expected not in text:
        assert time.monotonic() < end, f"{expected!r} did not come within {deadline_s} s, but {text!r}"
        if select.select([terminal], [], [], 2)[0]:
            text += os.read(terminal, 4096).decode(errors="replace")
        else:
            os.write(terminal, typing.encode())
    return text
