"""Snapshots as XML: what is read of one, and what is asked for. Source: formatsnapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from lxml import etree

from vmdash.virt import xml
from vmdash.virt.errors import InvalidDefinition
from vmdash.virt.xml.domain import DomainDefinition


class Place(StrEnum):
    """Where a snapshot keeps a disk's or the memory's state."""

    NONE = "no"
    """It is left out."""
    INTERNAL = "internal"
    """In the disk image itself."""
    EXTERNAL = "external"
    """A disk: its image stays as it is, what is written from now on goes to an overlay. Memory: in a file."""
    MANUAL = "manual"
    """Somebody else sees to it."""


_PLACES = {str(place): place for place in Place}


@dataclass(frozen=True, slots=True)
class SnapshotDisk:
    """``base`` is what the guest's disk was made of when the snapshot was taken (a path, ``pool/volume``, …) and
    holds its state since then; ``overlay`` is the file that an external snapshot put on top of it.
    """

    target: str
    place: Place
    base: str
    base_format: str
    overlay: str
    overlay_format: str


@dataclass(frozen=True, slots=True)
class SnapshotDefinition:
    """``state`` is the guest's then: running, paused, shutoff, disk-snapshot … (the last: running, but its memory was
    left out). ``parent`` is empty for a root.
    """

    name: str
    parent: str
    description: str
    state: str
    created_at: datetime | None
    memory: Place
    memory_file: str
    disks: tuple[SnapshotDisk, ...]

    @classmethod
    def parse(cls, text: str) -> SnapshotDefinition:
        """Raises InvalidDefinition."""
        root = xml.parse(text)
        name = root.findtext("./name", "")
        if root.tag != "domainsnapshot" or not name:
            raise InvalidDefinition("The XML is not a snapshot: it has no <domainsnapshot> with a <name>.")
        created = xml.integer(root.findtext("./creationTime"))
        memory = root.find("./memory")
        bases = _bases(root)
        return cls(
            name=name,
            parent=root.findtext("./parent/name", ""),
            description=root.findtext("./description", ""),
            state=root.findtext("./state", ""),
            created_at=None if created is None else datetime.fromtimestamp(created, UTC),
            memory=_place(memory, Place.NONE),
            memory_file="" if memory is None else memory.get("file", ""),
            disks=tuple(_disk(disk, bases) for disk in root.iterfind("./disks/disk")),
        )

    @property
    def external_disks(self) -> tuple[SnapshotDisk, ...]:
        return tuple(disk for disk in self.disks if disk.place is Place.EXTERNAL)

    @property
    def is_external(self) -> bool:
        """Whether any part of it is outside of the disk images."""
        return self.memory is Place.EXTERNAL or bool(self.external_disks)

    @property
    def is_internal(self) -> bool:
        """Whether any part of it is inside of the disk images."""
        return self.memory is Place.INTERNAL or any(disk.place is Place.INTERNAL for disk in self.disks)


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """One disk of a snapshot to be made. ``overlay`` is the new file on top of it, where it is external."""

    target: str
    place: Place
    overlay: str = ""
    format: str = "qcow2"


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """A snapshot to be made. Disks that are not named are treated as libvirt likes: name them all."""

    name: str
    disks: tuple[DiskSpec, ...]
    memory: Place = Place.NONE
    memory_file: str = ""
    description: str = ""

    def to_xml(self) -> str:
        root = etree.Element("domainsnapshot")
        etree.SubElement(root, "name").text = self.name
        if self.description:
            etree.SubElement(root, "description").text = self.description
        memory = etree.SubElement(root, "memory", snapshot=self.memory)
        if self.memory is Place.EXTERNAL:
            memory.set("file", self.memory_file)
        disks = etree.SubElement(root, "disks")
        for one in self.disks:
            disk = etree.SubElement(disks, "disk", name=one.target, snapshot=one.place)
            if one.place is Place.EXTERNAL:
                disk.set("type", "file")
                etree.SubElement(disk, "driver", type=one.format)
                etree.SubElement(disk, "source", file=one.overlay)
        return etree.tostring(root, encoding="unicode")


def domain_of(text: str, *, next_start: bool = False) -> str:
    """The guest's definition as it was when the snapshot was taken: what ran, or what its next start would have used.

    Raises:
        InvalidDefinition: the snapshot has none (some drivers keep none).
    """
    root = xml.parse(text)
    inactive = root.find("./inactiveDomain") if next_start else None
    found = root.find("./domain") if inactive is None else inactive
    if found is None:
        raise InvalidDefinition(f"The snapshot {root.findtext('./name', '')} has no definition of its guest.")
    found.tag = "domain"
    found.tail = None
    return etree.tostring(found, encoding="unicode")


def with_overlays(text: str, overlays: Mapping[str, str]) -> str:
    """The snapshot with other overlays (by target), for the time after a revert to it."""
    root = xml.parse(text)
    for disk in root.iterfind("./disks/disk"):
        if (path := overlays.get(disk.get("name", ""))) is not None:
            for source in disk.findall("./source"):
                disk.remove(source)
            etree.SubElement(disk, "source", file=path)
    return etree.tostring(root, encoding="unicode")


def with_other_files(text: str, moved: Mapping[str, str]) -> str | None:
    """The snapshot with other files for what its guest was made of (old path → new); None when it names none of them.

    For the time after a merge: a file is gone, and what it held is in the one below.
    """
    root = xml.parse(text)
    changed = False
    for domain in ("domain", "inactiveDomain"):
        for source in root.iterfind(f"./{domain}/devices/disk//source"):
            for name in ("file", "dev"):
                if (path := moved.get(source.get(name, ""))) is not None:
                    source.set(name, path)
                    changed = True
    return etree.tostring(root, encoding="unicode") if changed else None


def _place(element: etree._Element | None, default: Place) -> Place:
    value = "" if element is None else element.get("snapshot", "")
    return _PLACES.get(value, default)


def _bases(root: etree._Element) -> dict[str, tuple[str, str]]:
    """What each disk was made of, with its format; nothing where the driver keeps no definition."""
    try:
        domain = DomainDefinition.parse(domain_of(etree.tostring(root, encoding="unicode")))
    except InvalidDefinition:
        return {}
    return {disk.target: (disk.source, disk.format) for disk in domain.disks}


def _disk(disk: etree._Element, bases: Mapping[str, tuple[str, str]]) -> SnapshotDisk:
    target = disk.get("name", "")
    base, base_format = bases.get(target, ("", ""))
    source, driver = disk.find("./source"), disk.find("./driver")
    return SnapshotDisk(
        target=target,
        place=_place(disk, Place.INTERNAL),
        base=base,
        base_format=base_format,
        overlay="" if source is None else source.get("file") or source.get("dev") or source.get("name") or "",
        overlay_format="" if driver is None else driver.get("type", ""),
    )
