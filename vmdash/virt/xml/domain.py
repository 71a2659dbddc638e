"""A guest's definition as frozen dataclasses: what pages and checks read of it. For changes, edit the XML itself.

Source: https://libvirt.org/formatdomain.html.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

from vmdash.virt import xml
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.throttle import group_of, limits_of

Element = etree._Element


@dataclass(frozen=True, slots=True)
class DiskImage:
    """One image of a backing chain. ``source`` is a path, ``pool/volume``, or a network disk's ``protocol:name``."""

    type: str
    source: str
    format: str


@dataclass(frozen=True, slots=True)
class Disk:
    """``device``: disk, cdrom, floppy or lun. ``backing`` is the chain below, nearest first; known while it runs.
    ``limits`` are those of ``iotune``, which it shares with the disks of its ``limit_group``, see ``throttle``."""

    target: str
    device: str
    bus: str
    type: str
    source: str
    format: str
    readonly: bool
    shareable: bool
    alias: str
    backing: tuple[DiskImage, ...]
    limits: Mapping[str, int] = field(default_factory=dict)
    limit_group: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """``target`` is its device on the host, known while it runs."""

    mac: str
    type: str
    source: str
    model: str
    target: str
    alias: str


@dataclass(frozen=True, slots=True)
class Graphics:
    """A graphical console. ``port`` is None while it is off (and for socket-only ones)."""

    type: str
    listen: str
    port: int | None
    tls_port: int | None
    socket: str
    autoport: bool


@dataclass(frozen=True, slots=True)
class Console:
    """A serial port or console: ``kind`` is serial, console or parallel; ``type`` pty, tcp, unix, …; ``path`` of its
    pty.
    """

    kind: str
    type: str
    target: str
    port: int
    path: str
    alias: str


@dataclass(frozen=True, slots=True)
class Channel:
    """``connected`` is None while it is off."""

    name: str
    connected: bool | None


@dataclass(frozen=True, slots=True)
class HostDevice:
    """A device of the host passed through: ``source`` is its address, such as ``0000:03:00.0`` or ``1234:5678``."""

    type: str
    mode: str
    source: str
    managed: bool
    alias: str


@dataclass(frozen=True, slots=True)
class NumaTune:
    """Where memory may come from: ``mode`` strict, preferred, interleave or restrictive; ``nodeset`` as in libvirt,
    "0-1".
    """

    mode: str
    nodeset: str
    placement: str


@dataclass(frozen=True, slots=True)
class SecurityLabel:
    model: str
    type: str
    label: str


@dataclass(frozen=True, slots=True)
class DomainDefinition:
    """``vcpus`` is what is plugged in, ``max_vcpus`` what can be; ``vcpu_pins`` are (vCPU, cpuset)."""

    type: str
    name: str
    uuid: str
    title: str
    description: str
    vcpus: int
    max_vcpus: int
    memory_kib: int
    max_memory_kib: int
    os_type: str
    arch: str
    machine: str
    firmware: str
    emulator: str
    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]
    graphics: tuple[Graphics, ...]
    consoles: tuple[Console, ...]
    channels: tuple[Channel, ...]
    host_devices: tuple[HostDevice, ...]
    numatune: NumaTune | None
    cpuset: str
    vcpu_pins: tuple[tuple[int, str], ...]
    emulator_pin: str
    security_labels: tuple[SecurityLabel, ...]

    @classmethod
    def parse(cls, text: str) -> DomainDefinition:
        """Raises InvalidDefinition."""
        root = xml.parse(text)
        parts = xml.children(root)
        name = _text(parts.get("name"))
        if root.tag != "domain" or not name:
            raise InvalidDefinition("The XML is not the definition of a guest: it has no <domain> with a <name>.")
        vcpu = parts.get("vcpu")
        max_vcpus = xml.integer(_text(vcpu)) or 1
        max_memory = xml.size_bytes(parts.get("memory")) or 0
        current_memory = xml.size_bytes(parts.get("currentMemory"))
        system = xml.children(parts.get("os"))
        devices: dict[str, list[Element]] = defaultdict(list)
        for device in root.iterfind("./devices/*"):
            devices[device.tag].append(device)
        return cls(
            type=root.get("type", ""),
            name=name,
            uuid=_text(parts.get("uuid")).lower(),
            title=_text(parts.get("title")),
            description=_text(parts.get("description")),
            vcpus=xml.integer(_get(vcpu, "current")) or max_vcpus,
            max_vcpus=max_vcpus,
            memory_kib=(max_memory if current_memory is None else current_memory) // 1024,
            max_memory_kib=max_memory // 1024,
            os_type=_text(system.get("type")),
            arch=_get(system.get("type"), "arch"),
            machine=_get(system.get("type"), "machine"),
            firmware=_firmware(parts.get("os"), system.get("loader")),
            emulator=next(map(_text, devices["emulator"]), ""),
            disks=tuple(map(_disk, devices["disk"])),
            interfaces=tuple(map(_interface, devices["interface"])),
            graphics=tuple(map(_graphics, devices["graphics"])),
            consoles=tuple(_console(kind, one) for kind in ("serial", "console", "parallel") for one in devices[kind]),
            channels=tuple(_channels(devices["channel"])),
            host_devices=tuple(map(_host_device, devices["hostdev"])),
            numatune=_numatune(root.find("./numatune/memory")),
            cpuset=_get(vcpu, "cpuset"),
            vcpu_pins=tuple(
                (xml.integer(pin.get("vcpu")) or 0, pin.get("cpuset", "")) for pin in root.iterfind("./cputune/vcpupin")
            ),
            emulator_pin=_get(root.find("./cputune/emulatorpin"), "cpuset"),
            security_labels=tuple(
                SecurityLabel(label.get("model", ""), label.get("type", ""), label.findtext("./label", ""))
                for label in root.iterfind("./seclabel")
            ),
        )

    @property
    def agent_connected(self) -> bool | None:
        """Whether the guest agent has its channel open; None when there is no such channel or the guest is off."""
        for channel in self.channels:
            if channel.name == "org.qemu.guest_agent.0":
                return channel.connected
        return None


def title_and_description(text: str) -> tuple[str, str]:
    """What people call a guest, in its definition. A third of the work of reading all of it. Raises
    InvalidDefinition."""
    root = xml.parse(text)
    return root.findtext("./title", ""), root.findtext("./description", "")


def _get(element: Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "")


def _text(element: Element | None) -> str:
    return "" if element is None else element.text or ""


def _firmware(system: Element | None, loader: Element | None) -> str:
    """bios or efi; a loader of type pflash is EFI whichever way it was chosen."""
    return _get(system, "firmware") or ("efi" if _get(loader, "type") == "pflash" else "bios")


def _source(source: Element | None) -> str:
    if source is None:
        return ""
    if volume := source.get("volume"):
        return f"{source.get('pool', '')}/{volume}"
    if protocol := source.get("protocol"):
        return f"{protocol}:{source.get('name', '')}"
    return source.get("file") or source.get("dev") or source.get("dir") or source.get("path") or ""


def _disk(disk: Element) -> Disk:
    parts = xml.children(disk)
    target = parts.get("target")
    return Disk(
        target=_get(target, "dev"),
        device=disk.get("device", "disk"),
        bus=_get(target, "bus"),
        type=disk.get("type", ""),
        source=_source(parts.get("source")),
        format=_get(parts.get("driver"), "type"),
        readonly="readonly" in parts,
        shareable="shareable" in parts,
        alias=_get(parts.get("alias"), "name"),
        backing=tuple(_backing_chain(parts.get("backingStore"))),
        limits=limits_of(disk) if "iotune" in parts else {},
        limit_group=group_of(disk) if "iotune" in parts else "",
    )


def _backing_chain(below: Element | None) -> Iterator[DiskImage]:
    while below is not None and below.find("./source") is not None:
        yield DiskImage(below.get("type", ""), _source(below.find("./source")), _get(below.find("./format"), "type"))
        below = below.find("./backingStore")


def _interface(interface: Element) -> Interface:
    parts = xml.children(interface)
    source = parts.get("source")
    # While the guest runs, libvirt tells what a network became: type "bridge" with the name of the network beside it.
    type = "network" if _get(source, "network") else interface.get("type", "")
    return Interface(
        mac=_get(parts.get("mac"), "address"),
        type=type,
        source=_get(source, "network") or _get(source, "bridge") or _get(source, "dev") or _get(source, "path"),
        model=_get(parts.get("model"), "type"),
        target=_get(parts.get("target"), "dev"),
        alias=_get(parts.get("alias"), "name"),
    )


def _port(text: str) -> int | None:
    return xml.integer(text) or None  # -1 and 0: not assigned yet


def _graphics(graphics: Element) -> Graphics:
    listen = graphics.find("./listen")
    return Graphics(
        type=graphics.get("type", ""),
        listen=_get(listen, "address") or graphics.get("listen", ""),
        port=_port(graphics.get("port", "")),
        tls_port=_port(graphics.get("tlsPort", "")),
        socket=_get(listen, "socket") or graphics.get("socket", ""),
        autoport=graphics.get("autoport") == "yes",
    )


def _console(kind: str, device: Element) -> Console:
    parts = xml.children(device)
    target = parts.get("target")
    return Console(
        kind=kind,
        type=device.get("type", ""),
        target=_get(target, "type"),
        port=xml.integer(_get(target, "port")) or 0,
        path=_get(parts.get("source"), "path"),
        alias=_get(parts.get("alias"), "name"),
    )


def _channels(devices: Iterable[Element]) -> Iterator[Channel]:
    for device in devices:
        for target in device.iterfind("./target[@name]"):
            state = target.get("state")
            yield Channel(target.get("name", ""), None if state is None else state == "connected")


def _host_device(device: Element) -> HostDevice:
    return HostDevice(
        type=device.get("type", ""),
        mode=device.get("mode", ""),
        source=_host_address(device.find("./source")),
        managed=device.get("managed") == "yes",
        alias=_get(device.find("./alias"), "name"),
    )


def _host_address(source: Element | None) -> str:
    if source is None:
        return ""
    vendor, product = source.find("./vendor"), source.find("./product")
    if vendor is not None and product is not None:
        return f"{_hex(vendor.get('id'), 4)}:{_hex(product.get('id'), 4)}"
    address = source.find("./address")
    if address is not None and address.get("slot"):
        get = address.get
        return f"{_hex(get('domain'), 4)}:{_hex(get('bus'), 2)}:{_hex(get('slot'), 2)}.{_hex(get('function'), 1)}"
    adapter = _get(source.find("./adapter"), "name")
    rest = () if address is None else (str(value) for value in address.attrib.values())
    return ":".join(filter(None, (adapter, *rest))) or source.findtext("./block", "")


def _hex(text: str | None, digits: int) -> str:
    return (text or "0").removeprefix("0x").rjust(digits, "0")


def _numatune(memory: Element | None) -> NumaTune | None:
    if memory is None:
        return None
    return NumaTune(memory.get("mode", "strict"), memory.get("nodeset", ""), memory.get("placement", "static"))
