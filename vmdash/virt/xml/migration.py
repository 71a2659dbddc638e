"""A guest's definition as its new host is to have it. Source: formatdomain, and libvirt's migration page."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from lxml import etree

from vmdash.virt import xml


def for_target(definition: str, *, paths: Mapping[str, str]) -> str:
    """The definition with the disks at `paths` (by target: `vda`), and consoles that listen where the new host does;
    empty when there is nothing to change.

    An address of the old host's own would not exist there; without one, the new host's setting counts. Raises
    InvalidDefinition.
    """
    root = xml.parse(definition)
    before = etree.tostring(root)
    for disk in root.iterfind("./devices/disk"):
        target = disk.find("./target")
        path = paths.get("" if target is None else target.get("dev", ""))
        if path:
            _put(disk, path)
    for graphics in root.iterfind("./devices/graphics"):
        _forget_own_address(graphics)
    return "" if etree.tostring(root) == before else etree.tostring(root, encoding="unicode")


def _put(disk: etree._Element, path: str) -> None:
    """The disk as one file that holds everything: what is copied takes its backing files along."""
    source = disk.find("./source")
    if source is None:
        return
    encryption = source.findall("./encryption")
    block = path.startswith("/dev/")
    disk.set("type", "block" if block else "file")
    for child in list(source):
        if child not in encryption:
            source.remove(child)
    source.attrib.clear()
    source.set("dev" if block else "file", path)
    for backing in disk.findall("./backingStore"):
        disk.remove(backing)
    source.addnext(etree.Element("backingStore"))


def _forget_own_address(graphics: etree._Element) -> None:
    for element in (graphics, *graphics.iterfind("./listen[@type='address']")):
        name = "listen" if element is graphics else "address"
        if _is_one_machines(element.get(name, "")):
            del element.attrib[name]


def _is_one_machines(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return not (found.is_unspecified or found == ip_address("127.0.0.1") or found == ip_address("::1"))
