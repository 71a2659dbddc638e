"""Where what happens now was asked for from: the address, for the audit trail."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from django.conf import settings


@dataclass(slots=True)
class Origin:
    """One request."""

    address: str = ""
    refusal_id: int | None = None
    """The entry of the audit trail that says that this request was refused; unless it was rolled back since."""


_current: ContextVar[Origin | None] = ContextVar("vmdash_origin", default=None)


def current() -> Origin:
    """Of the request at hand; without an address for what nobody asked for over the network."""
    return _current.get() or Origin()


def begin(peer: str, forwarded_for: Sequence[str] = ()) -> Origin:
    """From now on, in this thread or task, until `end`. `forwarded_for`: every header `X-Forwarded-For`."""
    origin = Origin(address_of(peer, ",".join(forwarded_for)))
    _current.set(origin)
    return origin


def end() -> None:
    _current.set(None)


def address_of(peer: str, forwarded_for: str = "") -> str:
    """The address of the person: the peer's or, where that is a proxy of ours, the one that it names.

    `forwarded_for` is the header `X-Forwarded-For`. Anybody may have written its left end, so it is read from the
    right, for as long as one of `VMDASH_TRUSTED_PROXIES` speaks. Empty when the peer has no address.
    """
    found = _parse(peer)
    hops = forwarded_for.split(",") if forwarded_for else []
    while hops and found is not None and _is_ours(found):
        before = _parse(hops.pop())
        if before is None:
            break
        found = before
    return "" if found is None else str(found)


def may_speak_for_others(peer: str) -> bool:
    """Whether what this peer says of somebody else's request is believed: a proxy of ours, or, where none is named,
    anybody. One without an address is a process of this machine."""
    found = _parse(peer)
    return found is None or not settings.TRUSTED_PROXIES or _is_ours(found)


def _is_ours(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
