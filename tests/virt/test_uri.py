"""Endpoints: what goes in comes out, and nothing that could be something else gets in."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdash.exceptions import InvalidInput
from vmdash.virt.uri import DEFAULT_PORTS, Driver, Endpoint, Transport

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z][a-z0-9]{0,10}){0,2}", fullmatch=True)
REMOTE = st.builds(
    Endpoint,
    driver=st.sampled_from(Driver),
    transport=st.sampled_from(sorted(DEFAULT_PORTS)),
    address=NAMES | st.ip_addresses().map(str),
    port=st.none() | st.integers(1, 65535),
    username=st.just("") | st.text(string.ascii_letters + string.digits + "_.", min_size=1, max_size=12),
    path=st.just("/system") | st.just("/session") | st.text(string.printable, max_size=12).map(lambda text: "/" + text),
    extra=st.just({}) | st.fixed_dictionaries({"socket": st.text(string.printable)}),
)


@given(REMOTE)
def test_a_uri_reads_back_as_the_endpoint_it_was_made_of(endpoint: Endpoint) -> None:
    again = Endpoint.parse(endpoint.uri())
    assert again == endpoint
    assert again.extra == endpoint.extra


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        (
            "qemu+ssh://root@kvm3:2222/system",
            Endpoint(Driver.QEMU, Transport.SSH, "kvm3", 2222, "root", "/system"),
        ),
        ("qemu+tls://[2001:db8::7]/system", Endpoint(Driver.QEMU, Transport.TLS, "2001:db8::7", path="/system")),
        ("qemu://kvm2/system", Endpoint(Driver.QEMU, Transport.TLS, "kvm2", path="/system")),
        ("qemu:///system", Endpoint(Driver.QEMU, Transport.UNIX, path="/system")),
        ("test:///default", Endpoint(Driver.TEST, Transport.UNIX, path="/default")),
        ("xen+tcp://dom0/system", Endpoint(Driver.XEN, Transport.TCP, "dom0", path="/system")),
    ],
)
def test_the_uris_of_libvirts_manual_are_understood(uri: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(uri) == endpoint


def test_a_local_daemon_is_named_without_a_transport_so_that_libvirt_finds_its_socket() -> None:
    assert Endpoint(Driver.QEMU, Transport.UNIX).uri() == "qemu:///system"
    assert Endpoint(Driver.TEST, Transport.UNIX).uri() == "test:///default"
    given_socket = Endpoint(Driver.QEMU, Transport.UNIX, extra={"socket": "/run/x y"})
    assert given_socket.uri() == "qemu+unix:///system?socket=%2Frun%2Fx%20y"


def test_paths_of_key_files_win_over_what_an_operator_set() -> None:
    endpoint = Endpoint(Driver.QEMU, Transport.TLS, "kvm2", extra={"socket": "/operator"})
    assert endpoint.uri({"socket": "/ours"}).endswith("?socket=%2Fours")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "-oProxyCommand=x",
        "kvm 1",
        "kvm1/system",
        "kvm1?command=x",
        "a@b",
        "kvm1:16509",
        "fe80::1%eth0",
        "kvm1\n",
        "é",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        Endpoint(Driver.QEMU, Transport.SSH, address)


@pytest.mark.parametrize("username", ["-oProxyCommand=x", "a b", "root@kvm1/", "x;id", "é"])
def test_what_is_no_user_name_is_refused(username: str) -> None:
    with pytest.raises(InvalidInput):
        Endpoint(Driver.QEMU, Transport.SSH, "kvm1", username=username)


@pytest.mark.parametrize("name", ["command", "pkipath", "keyfile", "known_hosts", "no_verify", "no_sanity", "sshauth"])
def test_parameters_that_run_programs_or_switch_checks_off_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        Endpoint.parse(f"qemu+ssh://kvm1/system?{name}=/bin/sh")


@pytest.mark.parametrize(
    "uri", ["", "kvm1", "http://kvm1/", "qemu+telnet://kvm1/system", "qemu+ssh://kvm1:99999/system"]
)
def test_what_is_no_libvirt_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput):
        Endpoint.parse(uri)


def test_addresses_and_ports_belong_to_remote_transports_only() -> None:
    with pytest.raises(InvalidInput, match="takes no address"):
        Endpoint(Driver.QEMU, Transport.UNIX, "kvm1")


@given(st.text())
def test_any_text_is_either_an_endpoint_or_refused(text: str) -> None:
    try:
        Endpoint.parse(text)
    except InvalidInput as error:
        assert error.message
