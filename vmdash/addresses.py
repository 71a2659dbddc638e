"""IP addresses that nothing of ours connects to because a person wrote them, or a name that leads to them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

_METADATA = frozenset(map(ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")))
"""Metadata services of clouds that are not link-local: they hand secrets to whoever asks."""
_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address at their end."""


def plain(address: Address) -> Address:
    """The IPv4 address where an IPv6 address only wraps one."""
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def nobodys(address: Address) -> str:
    """What sort of address it is, when no machine that people mean can have it; empty for all others.

    Loopback and private addresses are among the others: who asks decides about those.
    """
    if isinstance(address, IPv6Address) and address.scope_id:
        return "a link-local address"
    address = plain(address)
    if address.is_link_local or address in _METADATA:
        return "a link-local or metadata address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or (address.is_reserved and not address.is_loopback):
        return "a reserved address"
    return ""
