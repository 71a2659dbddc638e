"""The definition of a guest that vmdash makes. Source: https://libvirt.org/formatdomain.html."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase

from lxml import etree
from lxml.builder import E


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A disk or, with ``cdrom``, a medium: ``source`` is a path on the host, ``block`` a device in place of a file."""

    source: str
    format: str
    block: bool = False
    cdrom: bool = False


@dataclass(frozen=True, slots=True)
class NewGuest:
    """``type`` is kvm or qemu; ``network`` a virtual network of the host, empty for none.

    The machine starts from its ``disks`` in their order.
    """

    name: str
    uuid: str
    type: str
    arch: str
    vcpus: int
    memory_kib: int
    disks: tuple[NewDisk, ...] = ()
    title: str = ""
    network: str = ""
    mac: str = ""
    efi: bool = False

    def to_xml(self) -> str:
        """With agent channel, VNC and serial console, balloon with statistics, and an entropy source."""
        domain = E.domain({"type": self.type}, E.name(self.name), E.uuid(self.uuid))
        if self.title:
            domain.append(E.title(self.title))
        os = E.os(E.type("hvm", arch=self.arch, **_machine(self.arch)))
        if self.efi:
            os.set("firmware", "efi")
        domain.extend(
            [
                E.memory(str(self.memory_kib), unit="KiB"),
                E.vcpu(str(self.vcpus)),
                os,
                E.features(E.acpi(), E.apic()) if _is_x86(self.arch) else E.features(),
            ]
        )
        if self.type == "kvm":
            # What most of the fleet's hosts understand, so that the guest can move between them.
            domain.append(E.cpu(mode="host-model"))
        domain.extend([E.clock(offset="utc"), self._devices()])
        return etree.tostring(domain, encoding="unicode", pretty_print=True)

    def _devices(self) -> etree._Element:
        devices: etree._Element = E.devices()
        media, disks = iter(ascii_lowercase), iter(ascii_lowercase)
        for order, disk in enumerate(self.disks, 1):
            target = f"sd{next(media)}" if disk.cdrom else f"vd{next(disks)}"
            devices.append(_disk(disk, target, order))
        if self.network:
            interface = E.interface(
                {"type": "network"}, E.mac(address=self.mac), E.source(network=self.network), E.model(type="virtio")
            )
            devices.append(interface)
        devices.extend(
            [
                E.serial({"type": "pty"}, E.target(port="0")),
                E.console({"type": "pty"}, E.target(type="serial", port="0")),
                E.channel({"type": "unix"}, E.target(type="virtio", name="org.qemu.guest_agent.0")),
                E.input(type="tablet", bus="usb"),
                E.graphics({"type": "vnc"}, autoport="yes"),
                E.video(E.model(type="vga" if _is_x86(self.arch) else "virtio")),
                E.memballoon({"model": "virtio"}, E.stats(period="10")),
                E.rng({"model": "virtio"}, E.backend("/dev/urandom", model="random")),
            ]
        )
        return devices


def _is_x86(arch: str) -> bool:
    return arch in ("x86_64", "i686")


def _machine(arch: str) -> dict[str, str]:
    return {"machine": "q35"} if _is_x86(arch) else {}


def _disk(disk: NewDisk, target: str, order: int) -> etree._Element:
    kind, attribute = ("block", "dev") if disk.block else ("file", "file")
    element: etree._Element = E.disk(
        {"type": kind, "device": "cdrom" if disk.cdrom else "disk"},
        E.driver({"name": "qemu", "type": disk.format} | ({} if disk.cdrom else {"discard": "unmap"})),
        E.source({attribute: disk.source}),
        E.target(dev=target, bus="sata" if disk.cdrom else "virtio"),
        E.boot(order=str(order)),
    )
    if disk.cdrom:
        element.append(E.readonly())
    return element
