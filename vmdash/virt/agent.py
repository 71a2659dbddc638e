"""What the QEMU guest agent tells of a guest, parsed from ``virDomainGetGuestInfo`` and
``virDomainInterfaceAddresses``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import libvirt

ADDRESS_SOURCES = {
    "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    "agent": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
    "arp": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
}


@dataclass(frozen=True, slots=True)
class GuestInterface:
    """``addresses`` such as ``10.0.0.5/24``, in the order told."""

    name: str
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuestUser:
    """Somebody who is logged in."""

    name: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class GuestFilesystem:
    """A mounted file system; sizes are None where the agent is too old to tell. ``disks`` are libvirt targets (vda)."""

    mountpoint: str
    name: str
    type: str
    total_bytes: int | None
    used_bytes: int | None
    disks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """Empty where the guest or its agent does not tell."""

    hostname: str
    os_id: str
    os_name: str
    kernel: str
    timezone: str
    users: tuple[GuestUser, ...] | None
    """None where the agent does not tell who is logged in."""
    filesystems: tuple[GuestFilesystem, ...]
    interfaces: tuple[GuestInterface, ...]


def parse_info(told: Mapping[str, Any]) -> AgentInfo:
    """From the typed parameters of ``virDomainGetGuestInfo``."""
    return AgentInfo(
        hostname=told.get("hostname", ""),
        os_id=told.get("os.id", ""),
        os_name=told.get("os.pretty-name", ""),
        kernel=told.get("os.kernel-release", ""),
        timezone=told.get("timezone.name", ""),
        users=tuple(_user(told, f"user.{n}.") for n in range(told["user.count"])) if "user.count" in told else None,
        filesystems=tuple(_filesystem(told, f"fs.{n}.") for n in range(told.get("fs.count", 0))),
        interfaces=tuple(_interface(told, f"if.{n}.") for n in range(told.get("if.count", 0))),
    )


def parse_interfaces(told: Mapping[str, Any]) -> tuple[GuestInterface, ...]:
    """From ``virDomainInterfaceAddresses``: {name: {"hwaddr": …, "addrs": [{"addr", "prefix", "type"}]}}."""
    return tuple(
        GuestInterface(
            name, one.get("hwaddr") or "", tuple(f"{a['addr']}/{a['prefix']}" for a in one.get("addrs") or ())
        )
        for name, one in told.items()
    )


def _user(told: Mapping[str, Any], at: str) -> GuestUser:
    login_ms = told.get(f"{at}login-time")
    return GuestUser(told.get(f"{at}name", ""), datetime.fromtimestamp(login_ms / 1000, UTC) if login_ms else None)


def _filesystem(told: Mapping[str, Any], at: str) -> GuestFilesystem:
    disks = (told.get(f"{at}disk.{n}.alias", "") for n in range(told.get(f"{at}disk.count", 0)))
    return GuestFilesystem(
        mountpoint=told.get(f"{at}mountpoint", ""),
        name=told.get(f"{at}name", ""),
        type=told.get(f"{at}fstype", ""),
        total_bytes=told.get(f"{at}total-bytes"),
        used_bytes=told.get(f"{at}used-bytes"),
        disks=tuple(disk for disk in disks if disk),
    )


def _interface(told: Mapping[str, Any], at: str) -> GuestInterface:
    addresses = (
        f"{told[f'{at}addr.{n}.addr']}/{told.get(f'{at}addr.{n}.prefix', '')}"
        for n in range(told.get(f"{at}addr.count", 0))
    )
    return GuestInterface(told.get(f"{at}name", ""), told.get(f"{at}hwaddr", ""), tuple(addresses))
