"""Snapshots of guests: a typed handle around virDomainSnapshot.

What libvirt's QEMU driver does depends on its version:

* An internal snapshot of a running guest has its memory too, and pauses it while that is written.
* Reverting to external ones came with 9.9, with rules of its own about which overlays go. Deleting external ones came
  with 9.0; it leaves the file with the memory behind, is refused above an internal one, and cannot be watched or
  cancelled. So external ones are reverted and merged with the means of ``Guest``, ``blockjob`` and ``redefine``, and
  ``delete`` is for internal ones, for metadata, and for guests that are off.
* There are no events about snapshots: whoever keeps them in mind looks at ``count``.
"""

from __future__ import annotations

from dataclasses import dataclass

import libvirt

from vmdash.virt.guest import Guest
from vmdash.virt.translation import supported, translate
from vmdash.virt.xml.snapshot import SnapshotDefinition, SnapshotSpec

AGENT_PATIENCE_S = 10
"""How long the guest agent may take to freeze the file systems."""


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """``current``: what the guest's disks hold now came out of this one."""

    definition: SnapshotDefinition
    current: bool


class Snapshot:
    """One snapshot of one guest. Every method blocks and raises VirtError."""

    __slots__ = ("guest", "name", "raw")

    def __init__(self, raw: libvirt.virDomainSnapshot, guest: Guest) -> None:
        self.raw = raw
        self.guest = guest
        self.name: str = raw.getName()

    def __repr__(self) -> str:
        return f"<Snapshot {self.name} of {self.guest.name} on {self.guest.host}>"

    def _translate(self, verb: str) -> translate:
        return translate(f"{verb} snapshot {self.name} of {self.guest.name}", self.guest.host)

    def xml(self, *, secure: bool = False) -> str:
        """``secure`` includes the passwords of the guest's definition and needs a read-write connection."""
        with self._translate("read"):
            return str(self.raw.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE if secure else 0))

    def definition(self) -> SnapshotDefinition:
        return SnapshotDefinition.parse(self.xml())

    def facts(self) -> SnapshotFacts:
        return SnapshotFacts(self.definition(), self.is_current())

    def is_current(self) -> bool:
        with self._translate("read"):
            return bool(self.raw.isCurrent())

    def revert(self, *, running: bool | None = None, force: bool = False) -> None:
        """Put the guest back to it. What it has done since is lost.

        ``running``: let it run afterwards, or leave it paused; None: as it was then. ``force`` goes on where the
        running guest has to be stopped for it, or libvirt is not sure that the old definition fits.

        Raises:
            CallUnsupported: it is external, and libvirt older than 9.9. RevertRisky: without ``force``.
        """
        flags = (
            (libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING if running is True else 0)
            | (libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED if running is False else 0)
            | (libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE if force else 0)
        )
        with translate(f"revert {self.guest.name} to {self.name}", self.guest.host):
            self.guest.raw.revertToSnapshot(self.raw, flags)

    def delete(self, *, metadata_only: bool = False, children: bool = False, children_only: bool = False) -> None:
        """Delete it; snapshots that came after it stay, and become its parent's.

        ``metadata_only`` makes libvirt forget it and touches no disk. ``children`` deletes all that came after it too,
        ``children_only`` these alone.
        """
        flags = (
            (libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY if metadata_only else 0)
            | (libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN if children else 0)
            | (libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN_ONLY if children_only else 0)
        )
        with self._translate("delete"):
            self.raw.delete(flags)


def count(guest: Guest) -> int:
    """How many snapshots it has: one cheap call. 0 where the driver has none."""
    with translate(f"count the snapshots of {guest.name}", guest.host):
        return supported(guest.raw.snapshotNum, 0)


def snapshots(guest: Guest) -> list[Snapshot]:
    """All of them, parents before children. None where the driver has none."""
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL
    with translate(f"list the snapshots of {guest.name}", guest.host):
        raw: list[libvirt.virDomainSnapshot] = supported(lambda: guest.raw.listAllSnapshots(flags), [])
    return [Snapshot(one, guest) for one in raw]


def snapshot(guest: Guest, name: str) -> Snapshot:
    """Raises SnapshotNotFound."""
    with translate(f"find snapshot {name} of {guest.name}", guest.host):
        return Snapshot(guest.raw.snapshotLookupByName(name), guest)


def create(
    guest: Guest,
    spec: SnapshotSpec,
    *,
    disks_only: bool = False,
    quiesce: bool = False,
    live: bool = False,
    atomic: bool = True,
    halt: bool = False,
    metadata: bool = True,
    reuse: bool = False,
) -> Snapshot:
    """Take a snapshot.

    ``disks_only``: without memory; external ones of a guest that is off need it, too. ``quiesce``: the guest agent
    freezes the file systems meanwhile (libvirt thaws them whatever happens). ``live``: a guest whose memory goes to a
    file runs on meanwhile. ``halt``: it is off afterwards. ``metadata`` False: libvirt keeps nothing in mind of it;
    only the overlays remain. ``reuse``: the overlays exist already. ``atomic``: all of it or nothing.

    Raises:
        AgentUnresponsive, ArgumentRefused, CallUnsupported: ``quiesce`` without an agent that can. AlreadyExists …
    """
    flags = (
        (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY if disks_only else 0)
        | (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE if quiesce else 0)
        | (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE if live else 0)
        | (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC if atomic else 0)
        | (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_HALT if halt else 0)
        | (0 if metadata else libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA)
        | (libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT if reuse else 0)
    )
    with translate(f"take snapshot {spec.name} of {guest.name}", guest.host):
        if quiesce:
            supported(lambda: guest.raw.agentSetResponseTimeout(AGENT_PATIENCE_S), 0)
        return Snapshot(guest.raw.snapshotCreateXML(spec.to_xml(), flags), guest)


def redefine(guest: Guest, xml: str, *, current: bool = False) -> Snapshot:
    """Change what libvirt keeps in mind of a snapshot; no disk is touched. ``current``: the guest now stems from it.

    The XML is that of ``Snapshot.xml(secure=True)``, changed.
    """
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
    flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT if current else 0
    with translate(f"correct a snapshot of {guest.name}", guest.host):
        return Snapshot(guest.raw.snapshotCreateXML(xml, flags), guest)


def resume_from(guest: Guest, memory_file: str, definition: str, *, running: bool = True) -> None:
    """Start a guest that is off with the memory in that file (of an external snapshot), as ``definition`` says.

    Its disks must hold what they held when the file was written. The file stays.
    """
    flags = libvirt.VIR_DOMAIN_SAVE_RUNNING if running else libvirt.VIR_DOMAIN_SAVE_PAUSED
    with translate(f"restore the memory of {guest.name}", guest.host):
        guest.raw.connect().restoreFlags(memory_file, definition, flags)
