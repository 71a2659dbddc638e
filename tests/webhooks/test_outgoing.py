"""A webhook leads nowhere inside: whatever its name is resolved to, and at whatever moment."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from tests.webhooks.hook import Hook
from vmdash.addresses import nobodys
from vmdash.webhooks import outgoing
from vmdash.webhooks.outgoing import AddressRefused, Undelivered

INSIDE = [
    "127.0.0.1", "127.8.8.8", "::1", "10.0.0.1", "172.16.0.9", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1",
    "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:0a00:0001::", "198.18.0.1", "192.0.0.1",
]  # fmt: skip
NOBODYS = [
    "169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%eth0", "100.100.100.200", "168.63.129.16", "fd00:ec2::254",
    "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "255.255.255.255", "240.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_addresses_inside_are_refused_unless_they_are_allowed(text: str, settings: Settings) -> None:
    with pytest.raises(AddressRefused, match="this machine or a private network"):
        outgoing.check(ip_address(text))
    settings.WEBHOOK_NETWORKS = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    outgoing.check(ip_address(text))


@pytest.mark.parametrize("text", NOBODYS)
def test_metadata_and_link_local_addresses_are_refused_always(text: str, settings: Settings) -> None:
    settings.WEBHOOK_NETWORKS = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    with pytest.raises(AddressRefused):
        outgoing.check(ip_address(text))


@pytest.mark.parametrize("text", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::93.184.215.14"])
def test_public_addresses_are_let_through(text: str) -> None:
    outgoing.check(ip_address(text))


@given(st.ip_addresses())
def test_whatever_is_let_through_is_public(address: Any) -> None:
    with suppress(AddressRefused):
        outgoing.check(address)
        assert not nobodys(address)
        assert not address.is_loopback
        assert not address.is_private or address in ip_network("64:ff9b::/96") or address in ip_network("2002::/16")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name service: each list is what a name leads to, one answer after the other."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *args, **options)
        answer = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [entry for one in answer.split() for entry in real(one, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def post(url: str) -> int:
    return outgoing.post(url, b"{}", {})


def test_a_name_that_leads_inside_is_refused_without_a_connection(names: dict[str, list[str]], hook: Hook) -> None:
    names["evil.example"] = ["10.0.0.1"]
    with pytest.raises(AddressRefused):
        post(f"http://evil.example:{hook.port}/")
    names["mixed.example"] = ["127.0.0.1 169.254.169.254"]
    with pytest.raises(AddressRefused):
        post(f"http://mixed.example:{hook.port}/")
    assert hook.got == []


def test_a_name_that_leads_elsewhere_a_moment_later_gains_nothing(
    names: dict[str, list[str]], hook: Hook, settings: Settings
) -> None:
    """DNS rebinding: what was checked is what is connected to; the name is asked for once."""
    names["rebound.example"] = ["127.0.0.1", "169.254.169.254"]
    assert post(f"http://rebound.example:{hook.port}/") == 200
    assert names["rebound.example"] == ["169.254.169.254"]
    assert hook.got[0][0]["Host"] == f"rebound.example:{hook.port}"


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_however_this_machine_is_written(host: str, hook: Hook, settings: Settings) -> None:
    settings.WEBHOOK_NETWORKS = []
    with pytest.raises((AddressRefused, Undelivered)):
        post(f"http://{host}:{hook.port}/")
    assert hook.got == []


def test_proxies_of_the_environment_are_not_used(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert post(hook.url) == 200


@pytest.fixture
def dripping_port(settings: Settings) -> Iterator[int]:
    """Sends a letter of a header now and then, and never ends."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def drip() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                client.sendall(b"a")

    threading.Thread(target=drip, daemon=True).start()
    yield listener.getsockname()[1]
    over.set()
    listener.close()


def test_one_who_answers_a_letter_at_a_time_does_not_hold_a_worker(
    dripping_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "TIMEOUT_S", 0.3)
    with pytest.raises(Undelivered, match="did not answer within"):
        post(f"http://127.0.0.1:{dripping_port}/")


def test_one_who_speaks_no_http_or_is_not_there_is_told_in_words(hook: Hook) -> None:
    with pytest.raises(Undelivered):
        post(f"https://127.0.0.1:{hook.port}/")
    hook.stop()
    with pytest.raises(Undelivered, match="refused"):
        post(hook.url)


def test_the_name_service_that_does_not_know_a_name(names: dict[str, list[str]]) -> None:
    with pytest.raises(Undelivered, match="cannot be resolved"):
        post("http://nowhere.invalid/")
