"""What the practice fleet consists of: three hosts and their guests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Transport(Enum):
    """How clients reach a host's libvirtd; the values are libvirt's URI transports."""

    TCP = "tcp"
    TLS = "tls"
    SSH = "ssh"


class Power(Enum):
    """The state `up` brings a guest to when it first starts it."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"


class Disk(Enum):
    """LINKED: an overlay of the read-only base image, on storage all hosts share. FULL: its own, on its host."""

    LINKED = "linked"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class LabHost:
    name: str
    number: int
    transport: Transport
    site: str
    description: str
    tags: tuple[str, ...] = ()
    numa_simulated: bool = False


@dataclass(frozen=True, slots=True)
class LabGuest:
    """`number` (1 to 254, unique in the fleet) makes its address. `talks_to` is the guest it pings, by number.

    `burns`: uses the machine's last CPU as much as it can get, at idle priority. `bound`: its memory policy binds it to
    cell 0 while its vCPU is pinned to cell 1, the misplacement that a NUMA view should find.
    """

    name: str
    number: int
    host: str
    title: str
    description: str
    memory_mib: int = 96
    disk: Disk = Disk.LINKED
    power: Power = Power.RUNNING
    autostart: bool = False
    burns: bool = False
    bound: bool = False
    talks_to: int | None = None


HOSTS = (
    LabHost("kvm1", 1, Transport.TCP, "Zürich", "Rack 4, reached over TCP with SASL", ("production",)),
    LabHost("kvm2", 2, Transport.TLS, "Zürich", "Rack 5, reached over TLS with a private CA", ("production",)),
    LabHost(
        "kvm3",
        3,
        Transport.SSH,
        "Lab",
        "Reached over SSH. Its two NUMA cells are simulated",
        ("test", "numa-simulated"),
        numa_simulated=True,
    ),
)

GUESTS = (
    LabGuest("db1", 11, "kvm1", "Orders database", "Primary. Nightly dump at 02:30", 128, Disk.FULL, autostart=True),
    LabGuest("web1", 12, "kvm1", "Shop front end", "Behind the balancer with web2", autostart=True, talks_to=11),
    LabGuest("web2", 13, "kvm1", "Shop front end", "Behind the balancer with web1", autostart=True, talks_to=11),
    LabGuest("ci-7", 14, "kvm1", "CI runner 7", "Takes all the CPU it gets; restart at will", burns=True),
    LabGuest("build-2", 15, "kvm1", "Package builder", "Rebuilds packages around the clock", burns=True),
    LabGuest("wiki", 21, "kvm2", "Team wiki", "Handbook and meeting notes", autostart=True, talks_to=22),
    LabGuest("mail1", 22, "kvm2", "Mail relay", "Outgoing mail only", disk=Disk.FULL, autostart=True),
    LabGuest("git", 23, "kvm2", "Git server", "Paused while its storage is moved", power=Power.PAUSED),
    LabGuest("backup1", 24, "kvm2", "Backup target", "Started by the backup run", disk=Disk.FULL, power=Power.OFF),
    LabGuest("cache1", 31, "kvm3", "Object cache", "Memory bound to cell 0, CPU pinned to cell 1", bound=True),
    LabGuest("queue1", 32, "kvm3", "Message queue", "Staging", disk=Disk.FULL, autostart=True, talks_to=31),
    LabGuest("legacy-erp", 33, "kvm3", "Old ERP", "Kept for the auditors until December", power=Power.OFF),
)


def guests_of(host: str) -> tuple[LabGuest, ...]:
    return tuple(guest for guest in GUESTS if guest.host == host)
