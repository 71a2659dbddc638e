"""Volumes as XML: what is read of one, and what is asked for. Source: formatstorage, "Storage volume XML"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lxml import etree

from vmdash.virt import xml


class WipeAlgorithm(StrEnum):
    """How a volume is overwritten (``virStorageVolWipeAlgorithm``, those that every host has)."""

    ZERO = "zero"
    RANDOM = "random"
    TRIM = "trim"


@dataclass(frozen=True, slots=True)
class VolumeDefinition:
    """``kind`` is libvirt's type (file, block, …); ``backing_path`` is empty when nothing is behind it.

    ``physical_bytes`` is the length of its file or device: what a download of it yields. ``secret_uuid`` is that of the
    libvirt secret that opens an encrypted one.
    """

    name: str
    key: str
    path: str
    kind: str
    format: str
    capacity_bytes: int
    allocation_bytes: int
    backing_path: str
    backing_format: str
    encrypted: bool
    physical_bytes: int = 0
    secret_uuid: str = ""

    @classmethod
    def parse(cls, text: str) -> VolumeDefinition:
        """Raises InvalidDefinition."""
        root = xml.parse(text)
        return cls(
            name=root.findtext("./name", ""),
            key=root.findtext("./key", ""),
            path=root.findtext("./target/path", ""),
            kind=root.get("type", "file"),
            format=_attribute(root, "./target/format"),
            capacity_bytes=xml.size_bytes(root.find("./capacity"), "bytes") or 0,
            allocation_bytes=xml.size_bytes(root.find("./allocation"), "bytes") or 0,
            backing_path=root.findtext("./backingStore/path", ""),
            backing_format=_attribute(root, "./backingStore/format"),
            encrypted=root.find("./target/encryption") is not None,
            physical_bytes=xml.size_bytes(root.find("./physical"), "bytes") or 0,
            secret_uuid=_attribute(root, "./target/encryption/secret", "uuid"),
        )


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume to be made. ``format`` is empty in pools whose volumes have none (logical, rbd, …).

    ``allocation_bytes`` is taken at once: 0 is sparse, ``capacity_bytes`` fully allocated, None the driver's choice.
    ``encryption_secret`` is the UUID of a libvirt secret on that host: the volume is encrypted with LUKS.
    """

    name: str
    capacity_bytes: int
    format: str = "qcow2"
    allocation_bytes: int | None = 0
    backing_path: str = ""
    backing_format: str = ""
    encryption_secret: str = ""

    def to_xml(self) -> str:
        root = etree.Element("volume")
        etree.SubElement(root, "name").text = self.name
        etree.SubElement(root, "capacity", unit="bytes").text = str(self.capacity_bytes)
        if self.allocation_bytes is not None:
            etree.SubElement(root, "allocation", unit="bytes").text = str(self.allocation_bytes)
        target = etree.SubElement(root, "target")
        if self.format:
            etree.SubElement(target, "format", type=self.format)
        if self.format == "qcow2":
            etree.SubElement(target, "compat").text = "1.1"
        if self.encryption_secret:
            encryption = etree.SubElement(target, "encryption", format="luks")
            etree.SubElement(encryption, "secret", type="passphrase", uuid=self.encryption_secret)
        if self.backing_path:
            backing = etree.SubElement(root, "backingStore")
            etree.SubElement(backing, "path").text = self.backing_path
            if self.backing_format:
                etree.SubElement(backing, "format", type=self.backing_format)
        return etree.tostring(root, encoding="unicode")


def _attribute(root: etree._Element, path: str, name: str = "type") -> str:
    element = root.find(path)
    return "" if element is None else element.get(name, "")
