"""Where one practice fleet lives: its files, its addresses, its ports.

Two fleets may run side by side. Everything they could fight over (loopback addresses, ports, bridge names,
MAC addresses, UUIDs) follows from the fleet's `net` number, and every file is below its `directory`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from vmdash import env

REPOSITORY = Path(__file__).resolve().parent.parent.parent

_UUID_NAMESPACE = uuid.UUID("5f1d9a52-7c0e-4f0b-9a39-4d5cf2c0a7e1")
_PORT_BLOCKS = 64
"""Port ranges repeat after this many fleets; libvirt then skips the ports it finds taken."""


@dataclass(frozen=True, slots=True)
class Lab:
    """One practice fleet.

    `directory` holds its state, `cache` the guest images that outlive it, `net` (1 to 254) its address block
    127.0.`net`.0/24. `kvm` lets guests use /dev/kvm, which is hidden from them otherwise.
    """

    directory: Path
    cache: Path
    net: int = 1
    kvm: bool = False

    @classmethod
    def from_environment(cls) -> Lab:
        """The fleet that `VMDASH_LAB_DIR`, `VMDASH_LAB_NET` and `VMDASH_LAB_KVM` describe."""
        return cls(
            directory=Path(env.text("VMDASH_LAB_DIR", str(REPOSITORY / "var/lab"))).absolute(),
            cache=REPOSITORY / "var/cache/lab",
            net=env.integer("VMDASH_LAB_NET", 1, least=1, most=254),
            kvm=env.boolean("VMDASH_LAB_KVM", False),
        )

    @property
    def secrets(self) -> Path:
        return self.directory / "secrets"

    @property
    def shared_images(self) -> Path:
        """The storage every host of the fleet sees under the same path, as they would see an NFS mount."""
        return self.directory / "shared"

    @property
    def bridge(self) -> str:
        """The bridge all hosts' `default` network uses, like one switch they are plugged into."""
        return f"vmdash{self.net}"

    def host_directory(self, name: str) -> Path:
        return self.directory / name

    def address(self, number: int) -> str:
        """The loopback address of host `number`."""
        return f"127.0.{self.net}.{number}"

    def guest_address(self, number: int) -> str:
        return f"10.90.{self.net}.{number}"

    def mac(self, number: int) -> str:
        return f"52:54:00:90:{self.net:02x}:{number:02x}"

    def uuid(self, name: str) -> str:
        """The same UUID for the same name at every start, so that a dashboard recognises hosts and guests."""
        return str(uuid.uuid5(_UUID_NAMESPACE, f"{self.net}/{name}"))

    def vnc_ports(self, number: int) -> tuple[int, int]:
        first = 5900 + (self.net % _PORT_BLOCKS) * 300 + (number - 1) * 100
        return first, first + 99

    def websocket_ports(self, number: int) -> tuple[int, int]:
        first = 36000 + (self.net % _PORT_BLOCKS) * 300 + (number - 1) * 100
        return first, first + 99

    def migration_ports(self, number: int) -> tuple[int, int]:
        first = 26000 + (self.net % _PORT_BLOCKS) * 90 + (number - 1) * 30
        return first, first + 29
