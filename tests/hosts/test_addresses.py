"""Which addresses, accounts and paths a host may have; nothing else gets into a URI."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts.addresses import clean_address, clean_path, clean_username
from vmdash.exceptions import InvalidInput
from vmdash.virt.uri import Driver, Endpoint, Transport

NEARLY = "abz09._-:/[]%?#@ \n"
"""Characters that mean something in addresses and URIs."""


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("kvm1", "kvm1"),
        ("KVM1.Example.Org", "kvm1.example.org"),
        ("kvm1.example.org.", "kvm1.example.org"),
        (" 10.0.0.4 ", "10.0.0.4"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:0DB8::0007", "2001:db8::7"),
        ("127.0.1.1", "127.0.1.1"),
    ],
)
def test_names_and_addresses_are_accepted_in_their_usual_form(text: str, cleaned: str) -> None:
    assert clean_address(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "169.254.1.1",
        "::ffff:169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.43518",
        "0251.0376.0251.0376",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
    ],
)
def test_metadata_and_link_local_addresses_are_refused_however_they_are_written(text: str) -> None:
    with pytest.raises(InvalidInput):
        clean_address(text)


@pytest.mark.parametrize("text", ["224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255", "240.0.0.1"])
def test_addresses_that_no_host_has_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        clean_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kvm1/system",
        "kvm1?command=sh",
        "root@kvm1",
        "kvm1:22",
        "kvm1#x",
        "a b",
        "a\nb",
        "-oProxyCommand=x",
        "[::1",
        "é",
    ],
)
def test_what_could_end_the_address_in_a_uri_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        clean_address(text)


@given(st.one_of(st.text(max_size=80), st.text(NEARLY, max_size=24), st.from_regex(r"[a-z0-9.:-]{1,20}\Z")))
def test_whatever_is_accepted_is_an_address_and_nothing_more(text: str) -> None:
    try:
        address = clean_address(text)
    except InvalidInput:
        return
    uri = Endpoint(Driver.QEMU, Transport.TCP, address).uri()
    assert Endpoint.parse(uri) == Endpoint(Driver.QEMU, Transport.TCP, address, path="/system")
    assert clean_address(address) == address


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_no_address_of_a_refused_kind_gets_through(address: IPv4Address | IPv6Address) -> None:
    try:
        clean_address(str(address))
    except InvalidInput:
        return
    assert not (address.is_link_local or address.is_multicast or address.is_unspecified)


@given(
    st.one_of(st.text(max_size=60), st.text(NEARLY, max_size=16).map("/".__add__)),
    st.sampled_from(["qemu", "xen", "lxc", "test"]),
)
def test_whatever_path_is_accepted_stays_a_path(text: str, driver: str) -> None:
    try:
        path = clean_path(text, driver=driver)
    except InvalidInput:
        return
    assert ".." not in path.split("/")
    endpoint = Endpoint(Driver(driver), Transport.TCP, "kvm1", path=path)
    assert Endpoint.parse(endpoint.uri()) == endpoint


def test_only_the_test_driver_may_name_a_file() -> None:
    assert clean_path("/srv/fleet.xml", driver="test") == "/srv/fleet.xml"
    assert clean_path("", driver="test") == "/default"
    assert clean_path("", driver="qemu") == "/system"
    with pytest.raises(InvalidInput):
        clean_path("/srv/fleet.xml", driver="qemu")


@pytest.mark.parametrize("text", ["-oProxyCommand", "ro ot", "root:pw", "a\nb", "a@b", "x" * 33])
def test_accounts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        clean_username(text)
