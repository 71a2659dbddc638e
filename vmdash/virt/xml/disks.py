"""What disks of a definition are made of, changed in the XML. Everything else of it stays as it is.

Source: formatdomain, "Hard drives, floppy disks, CDROMs".
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

from lxml import etree

from vmdash.virt import xml
from vmdash.virt.errors import InvalidDefinition

_IMAGE = ("source", "backingStore", "mirror")


def with_files(definition: str, files: Mapping[str, str], *, format: str = "qcow2") -> str:
    """The definition with these disks (by target) in these files.

    Raises:
        InvalidDefinition: it has no such disk.
    """
    root = xml.parse(definition)
    for target, path in files.items():
        disk = _disk(root, target)
        _clear(disk)
        disk.set("type", "file")
        disk.append(etree.Element("source", file=path))
        _driver(disk).set("type", format)
    return etree.tostring(root, encoding="unicode")


def with_images_of(definition: str, other: str, targets: Collection[str]) -> str:
    """The definition with these disks (by target) made of what they are made of in the `other` one.

    Raises:
        InvalidDefinition: one of the two has no such disk.
    """
    root, pattern = xml.parse(definition), xml.parse(other)
    for target in targets:
        disk, model = _disk(root, target), _disk(pattern, target)
        _clear(disk)
        disk.set("type", model.get("type", "file"))
        if (source := model.find("./source")) is not None:
            disk.append(copy.deepcopy(source))
        if (format := _driver(model).get("type")) is not None:
            _driver(disk).set("type", format)
    return etree.tostring(root, encoding="unicode")


def _disk(root: etree._Element, target: str) -> etree._Element:
    for disk in root.iterfind("./devices/disk"):
        name = disk.find("./target")
        if name is not None and name.get("dev") == target:
            return disk
    raise InvalidDefinition(f"The definition of {root.findtext('./name', 'the guest')} has no disk {target}.")


def _clear(disk: etree._Element) -> None:
    for tag in _IMAGE:
        for element in disk.findall(f"./{tag}"):
            disk.remove(element)


def _driver(disk: etree._Element) -> etree._Element:
    driver = disk.find("./driver")
    return etree.SubElement(disk, "driver", name="qemu") if driver is None else driver
