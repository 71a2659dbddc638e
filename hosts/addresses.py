"""Which addresses and paths a host may have.

The collector connects to whatever stands here, so an address that leads to the machine's own neighbourhood (cloud
metadata, link-local, multicast) is refused, and so is every character that could end one part of a URI and start
another.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from vmdash.addresses import nobodys
from vmdash.exceptions import InvalidInput
from vmdash.virt.uri import Endpoint

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]*|[0-9]+")
_USERNAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_FILE = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_INSTANCES = frozenset({"/system", "/session"})


def clean_address(text: str) -> str:
    """`text` as a host name in lower case or an IP address in its usual form (IPv6 without brackets).

    Raises:
        InvalidInput: it is neither, or it is an address that no host may have.
    """
    text = text.strip()
    try:
        address = ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        return _clean_name(text)
    check_reachable(address)
    return str(address)


def check_reachable(address: IPv4Address | IPv6Address) -> None:
    """Refuse addresses that cannot be a libvirt host's own, also when a name resolves to them.

    Raises:
        InvalidInput: with the kind of address it is.
    """
    if sort := nobodys(address):
        raise InvalidInput(f"{address} is {sort}. Give the host's own address.")


def _clean_name(text: str) -> str:
    name = text.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidInput(
            "This is not a host name or IP address. Give it alone, such as kvm1.example.org or 10.0.0.4."
        )
    # Resolvers read 169.16689662 and 0xa9fea9fe as IPv4 addresses, past the checks above.
    if _NUMBER.fullmatch(labels[-1]):
        raise InvalidInput("This is not a complete IP address: give all four numbers, such as 10.0.0.4.")
    return name.lower()


def clean_username(text: str) -> str:
    """An account name as Linux has them. Raises InvalidInput."""
    text = text.strip()
    if text and not _USERNAME.fullmatch(text):
        raise InvalidInput("This is not an account name: use letters, digits, dot, dash and underscore.")
    return text


def clean_migration_uri(text: str) -> str:
    """A libvirt URI that another host can open, such as `qemu+tls://kvm2.example.org/system`.

    Raises:
        InvalidInput: it is none, leads to no other machine, or has parameters that would run programs there.
    """
    where = Endpoint.parse(text.strip())
    if not where.is_remote:
        raise InvalidInput("This URI names no other machine. Write one such as qemu+tls://kvm2.example.org/system.")
    clean_address(where.address)
    return where.uri()


def clean_path(text: str, *, driver: str) -> str:
    """The path of the libvirt URI. A test driver may also name a file of its definitions.

    Raises:
        InvalidInput: this driver has no such path.
    """
    text = text.strip() or ("/default" if driver == "test" else "/system")
    if driver == "test":
        if _FILE.fullmatch(text):
            return text
        raise InvalidInput("Give /default or the full path of a definition file, such as /srv/test.xml.")
    if text in _INSTANCES:
        return text
    raise InvalidInput("Give /system, or /session for the instance of an unprivileged account.")
