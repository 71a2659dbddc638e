"""What a new guest shall be, as a person asks for it and as it stands in the parameters of its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hosts.models import Host


@dataclass(frozen=True, slots=True)
class VolumeNamed:
    """A volume of the guest's host, there already or (`new_bytes` above 0) to be made as qcow2."""

    pool: str
    name: str
    new_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """Sizes in bytes. The guest starts from `disk`; when that is made anew, from `medium` first."""

    name: str
    title: str
    vcpus: int
    memory_bytes: int
    disk: VolumeNamed | None
    medium: VolumeNamed | None
    network: str
    efi: bool
    start: bool

    def parameters(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Wish:
        """What `parameters()` gave."""
        values = {name: parameters[name] for name in cls.__slots__}
        for name in ("disk", "medium"):
            values[name] = values[name] and VolumeNamed(**values[name])
        return cls(**values)


def machine_type(host: Host) -> str:
    """`kvm` where the host has it; a host that has not been seen yet is taken to have it."""
    return "qemu" if host.hardware_virtualization is False else "kvm"
