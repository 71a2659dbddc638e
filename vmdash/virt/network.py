"""Virtual networks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import libvirt

from vmdash.virt import xml
from vmdash.virt.translation import supported, translate


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """``forward_mode`` is libvirt's (nat, route, bridge, open, …), "isolated" when there is none."""

    uuid: str
    name: str
    bridge: str
    forward_mode: str
    active: bool
    persistent: bool
    autostart: bool


@dataclass(frozen=True, slots=True)
class DhcpLease:
    """``address`` such as ``192.168.122.20/24``."""

    mac: str
    address: str
    hostname: str
    expires: datetime


class Network:
    """One virtual network on one host. Every method blocks and raises VirtError."""

    __slots__ = ("host", "name", "raw", "uuid")

    def __init__(self, raw: libvirt.virNetwork, host: str) -> None:
        self.raw = raw
        self.host = host
        self.uuid: str = raw.UUIDString()
        self.name: str = raw.name()

    def _translate(self, verb: str) -> translate:
        return translate(f"{verb} network {self.name}", self.host)

    def facts(self) -> NetworkFacts:
        with self._translate("read"):
            definition = xml.parse(self.raw.XMLDesc())
            forward = definition.find("./forward")
            bridge = definition.find("./bridge")
            return NetworkFacts(
                uuid=self.uuid,
                name=self.name,
                bridge="" if bridge is None else bridge.get("name", ""),
                forward_mode="isolated" if forward is None else forward.get("mode", "nat"),
                active=bool(self.raw.isActive()),
                persistent=bool(self.raw.isPersistent()),
                autostart=bool(self.raw.autostart()),
            )

    def leases(self) -> tuple[DhcpLease, ...]:
        """DHCP leases; none where the driver does not tell."""
        with self._translate("read the leases of"):
            told: list[dict[str, Any]] = supported(self.raw.DHCPLeases, [])
        return tuple(
            DhcpLease(
                mac=lease["mac"] or "",
                address=f"{lease['ipaddr']}/{lease['prefix']}",
                hostname=lease["hostname"] or "",
                expires=datetime.fromtimestamp(lease["expirytime"], UTC),
            )
            for lease in told
        )

    def xml(self) -> str:
        with self._translate("read the definition of"):
            return str(self.raw.XMLDesc())

    def start(self) -> None:
        with self._translate("start"):
            self.raw.create()

    def stop(self) -> None:
        """Running guests lose their link to it."""
        with self._translate("stop"):
            self.raw.destroy()

    def set_autostart(self, on: bool) -> None:
        with self._translate("change the autostart of"):
            self.raw.setAutostart(int(on))
