"""The definition of a clone, made of its source's: what makes a guest itself is new, what binds it to its host's
present is left out, and everything else, known or not, stays as it was.

Source: https://libvirt.org/formatdomain.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lxml import etree

from vmdash.virt import xml
from vmdash.virt.errors import InvalidDefinition

Element = etree._Element

_CONSOLES = ("serial", "console", "parallel")
_LISTENING = {"unix", "tcp", "udp"}
"""Character devices for which the host opens an address that two guests cannot share."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that a disk of the clone has: ``path`` on its host; ``block`` for a device instead of a file."""

    path: str
    format: str
    block: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes the clone itself.

    ``macs`` has one address per interface, in the order of the definition; ``disks`` an image per target (vda) for
    those that are not shared with the source. ``nvram`` is empty when the guest has none.
    """

    name: str
    uuid: str
    macs: Sequence[str]
    disks: Mapping[str, ImageFile] = field(default_factory=dict)
    nvram: str = ""


def clone_definition(source: str, identity: Identity) -> str:
    """The clone's definition, made of its source's inactive one.

    Raises:
        InvalidDefinition: it cannot be read, or has not as many interfaces as there are MAC addresses.
    """
    root = xml.parse(source)
    old_name = root.findtext("./name", "")
    root.attrib.pop("id", "")
    _set_text(root, "name", identity.name)
    _set_text(root, "uuid", identity.uuid)
    for element in root.iterfind("./genid"):
        element.text = None  # libvirt makes a new one
    for label in root.findall("./seclabel"):
        if label.get("type") != "none":  # that nothing confines it is somebody's choice, no leftover
            _remove(label)
    _set_nvram(root, identity.nvram)
    _set_interfaces(root, identity.macs)
    _set_disks(root, identity.disks)
    _open_graphics(root)
    _free_character_devices(root, old_name, identity.name)
    for cid in root.iterfind("./devices/vsock/cid"):
        cid.set("auto", "yes")
        cid.attrib.pop("address", "")
    for alias in root.findall("./devices//alias"):
        if not alias.get("name", "").startswith("ua-"):  # those are people's
            _remove(alias)
    return etree.tostring(root, encoding="unicode")


def nvram_path(source: str) -> str:
    """Where the guest keeps its firmware's variables; empty when it keeps none in a file."""
    nvram = xml.parse(source).find("./os/nvram")
    if nvram is None:
        return ""
    inner = nvram.find("./source")
    return (inner.get("file", "") if inner is not None else nvram.text or "").strip()


def own_path(path: str, old_name: str, new_name: str) -> str:
    """A path beside `path` for the clone: its name in place of the source's, or before the ending."""
    old = PurePosixPath(path)
    if old_name and old_name in old.name:
        return str(old.with_name(old.name.replace(old_name, new_name, 1)))
    return str(old.with_name(f"{old.stem}-{new_name}{old.suffix}"))


def _set_text(root: Element, tag: str, text: str) -> None:
    element = root.find(f"./{tag}")
    if element is None:
        element = etree.Element(tag)
        root.insert(0, element)
    element.text = text


def _remove(element: Element) -> None:
    """With the white space that stood before the next one."""
    parent = element.getparent()
    if parent is None:
        return
    before = element.getprevious()
    if element.getnext() is None:
        if before is not None:
            before.tail = element.tail
        else:
            parent.text = None
    parent.remove(element)


def _set_nvram(root: Element, path: str) -> None:
    nvram = root.find("./os/nvram")
    if nvram is None or not path:
        return
    inner = nvram.find("./source")
    if inner is not None:
        inner.set("file", path)
    else:
        nvram.text = path


def _set_interfaces(root: Element, macs: Sequence[str]) -> None:
    interfaces = root.findall("./devices/interface")
    if len(interfaces) != len(macs):
        raise InvalidDefinition(
            f"The guest has {len(interfaces)} network interfaces, and {len(macs)} addresses were prepared for them.",
            hint="Its definition has changed meanwhile. Ask for the clone anew.",
        )
    for interface, address in zip(interfaces, macs, strict=True):
        mac = interface.find("./mac")
        if mac is None:
            mac = etree.Element("mac")
            interface.insert(0, mac)
        mac.attrib.clear()
        mac.set("address", address)
        for target in interface.findall("./target"):
            target.attrib.pop("dev", "")
            if not target.attrib:
                _remove(target)
        for source in interface.iterfind("./source"):
            source.attrib.pop("portid", "")
        for parameters in interface.findall("./virtualport/parameters"):
            parameters.attrib.pop("interfaceid", "")
            parameters.attrib.pop("instanceid", "")
            if not parameters.attrib:
                _remove(parameters)


def _set_disks(root: Element, images: Mapping[str, ImageFile]) -> None:
    for disk in root.iterfind("./devices/disk"):
        for leftover in disk.findall("./mirror"):
            _remove(leftover)
        target = disk.find("./target")
        image = images.get(target.get("dev", "")) if target is not None else None
        if image is None:
            continue
        for leftover in disk.findall("./backingStore"):
            _remove(leftover)
        disk.set("type", "block" if image.block else "file")
        source = disk.find("./source")
        if source is None:
            source = etree.Element("source")
            disk.insert(0, source)
        startup = source.get("startupPolicy")
        tail = source.tail
        source.clear()
        source.tail = tail
        source.set("dev" if image.block else "file", image.path)
        if startup:
            source.set("startupPolicy", startup)
        driver = disk.find("./driver")
        if driver is None:
            driver = etree.Element("driver", name="qemu")
            disk.insert(0, driver)
        driver.set("type", image.format)


def _open_graphics(root: Element) -> None:
    """Nobody knows the clone's password but the source's people; its ports are the host's choice."""
    for graphics in root.iterfind("./devices/graphics"):
        for secret in ("passwd", "passwdValidTo", "connected", "socket"):
            graphics.attrib.pop(secret, "")
        if graphics.get("port") or graphics.get("autoport"):
            graphics.set("autoport", "yes")
            graphics.attrib.pop("port", "")
            graphics.attrib.pop("tlsPort", "")
        if graphics.get("websocket"):
            graphics.set("websocket", "-1")
        for listen in graphics.iterfind("./listen[@socket]"):
            listen.attrib.pop("socket")


def _free_character_devices(root: Element, old_name: str, new_name: str) -> None:
    for channel in root.iterfind("./devices/channel"):
        for source in channel.findall("./source[@mode='bind'][@path]"):
            _remove(source)
    for kind in _CONSOLES:
        for device in root.iterfind(f"./devices/{kind}"):
            _free_console(device, old_name, new_name)


def _free_console(device: Element, old_name: str, new_name: str) -> None:
    device.attrib.pop("tty", "")
    source = device.find("./source")
    if source is not None:
        if device.get("type") == "file":
            source.set("path", own_path(source.get("path", ""), old_name, new_name))
        elif device.get("type") == "pty":
            _remove(source)
        elif device.get("type") in _LISTENING and source.get("mode") in ("bind", None):
            for address in [*device.findall("./source"), *device.findall("./protocol")]:
                _remove(address)
            device.set("type", "pty")
    log = device.find("./log")
    if log is not None and log.get("file"):
        log.set("file", own_path(log.get("file", ""), old_name, new_name))
