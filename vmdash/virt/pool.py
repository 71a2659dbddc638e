"""Storage pools."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import libvirt

from vmdash.virt.errors import HypervisorError, PoolBusy, VolumeNotFound
from vmdash.virt.translation import translate
from vmdash.virt.volume import Volume
from vmdash.virt.xml.pool import PoolDefinition
from vmdash.virt.xml.volume import VolumeSpec


class PoolState(StrEnum):
    INACTIVE = "inactive"
    BUILDING = "building"
    RUNNING = "running"
    DEGRADED = "degraded"
    INACCESSIBLE = "inaccessible"


_FORMATTED = ("fs", "disk", "logical")
"""Types that write to devices when they are built."""
_STATES = tuple(PoolState)  # in the order of virStoragePoolState


_LUKS_UNLUCKY = "Unable to get accurate CPU usage"
"""QEMU times its key derivation before it makes an encrypted volume, and gives up when the clock ticked too rarely."""
_LUKS_ATTEMPTS = 10


def _insist(create: Callable[[], libvirt.virStorageVol]) -> libvirt.virStorageVol:
    """Call `create` again when QEMU had no luck; libvirt has then removed what was there of the volume."""
    for _ in range(_LUKS_ATTEMPTS - 1):
        try:
            return create()
        except libvirt.libvirtError as error:
            if _LUKS_UNLUCKY not in str(error):
                raise
    return create()


_BUSY = "asynchronous jobs"
"""What libvirt says of a pool in which it is making a volume; its code for that is the one of all internal errors."""
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """``type`` is libvirt's (dir, netfs, logical, …); sizes are 0 while it is inactive; ``target_path`` may be empty.

    ``source`` is the network storage it is made of, the same on every host that reaches it, or empty.
    """

    uuid: str
    name: str
    type: str
    state: PoolState
    persistent: bool
    autostart: bool
    capacity_bytes: int
    allocation_bytes: int
    available_bytes: int
    target_path: str
    source: str = ""
    xml: str = ""


class Pool:
    """One storage pool on one host. Every method blocks and raises VirtError."""

    __slots__ = ("host", "name", "raw", "uuid")

    def __init__(self, raw: libvirt.virStoragePool, host: str) -> None:
        self.raw = raw
        self.host = host
        self.uuid: str = raw.UUIDString()
        self.name: str = raw.name()

    def _translate(self, verb: str) -> translate:
        return translate(f"{verb} storage pool {self.name}", self.host)

    def facts(self) -> PoolFacts:
        with self._translate("read"):
            state, capacity, allocation, available = self.raw.info()
            text = str(self.raw.XMLDesc())
            definition = PoolDefinition.parse(text)
            return PoolFacts(
                uuid=self.uuid,
                name=self.name,
                type=definition.type,
                state=_STATES[state] if state < len(_STATES) else PoolState.INACCESSIBLE,
                persistent=bool(self.raw.isPersistent()),
                autostart=bool(self.raw.autostart()),
                capacity_bytes=capacity,
                allocation_bytes=allocation,
                available_bytes=available,
                target_path=definition.path,
                source=definition.source,
                xml=text,
            )

    def xml(self) -> str:
        with self._translate("read the definition of"):
            return str(self.raw.XMLDesc())

    def volumes(self) -> list[Volume]:
        """Every volume. Can take minutes on a big pool; it must be active."""
        with self._translate("list the volumes of"):
            return [Volume(raw, self.host) for raw in self.raw.listAllVolumes()]

    def volume(self, name: str) -> Volume:
        """Raises VolumeNotFound."""
        with translate(f"find volume {name} in pool {self.name}", self.host):
            return Volume(self.raw.storageVolLookupByName(name), self.host)

    def create_volume(self, spec: VolumeSpec) -> Volume:
        """Make a volume. Blocks while it is allocated. Raises AlreadyExists, OutOfSpace."""
        with translate(f"create volume {spec.name} in pool {self.name}", self.host):
            return Volume(_insist(lambda: self.raw.createXML(spec.to_xml())), self.host)

    def clone_volume(self, spec: VolumeSpec, source: Volume) -> Volume:
        """Make a volume with the content of another one, of this pool or another of the same host.

        The host runs ``qemu-img convert``, so format and size may differ; the call blocks until that is through.
        Another connection sees how far it is (``Volume.use``).
        """
        with translate(f"copy volume {source.name} to {spec.name} in pool {self.name}", self.host):
            return Volume(_insist(lambda: self.raw.createXMLFrom(spec.to_xml(), source.raw)), self.host)

    def build(self, *, overwrite: bool = False) -> None:
        """Make what it needs: a folder, a file system, a volume group. ``overwrite`` destroys what was there.

        Without it, devices that hold something are refused. Raises VirtError.
        """
        flags = libvirt.VIR_STORAGE_POOL_BUILD_NEW
        if overwrite:
            flags = libvirt.VIR_STORAGE_POOL_BUILD_OVERWRITE
        elif PoolDefinition.parse(self.xml()).type in _FORMATTED:
            flags = libvirt.VIR_STORAGE_POOL_BUILD_NO_OVERWRITE
        with self._translate("build"):
            self.raw.build(flags)

    def delete(self) -> None:
        """Delete what it is made of; its volumes are lost. It must be stopped."""
        with self._translate("delete"):
            self.raw.delete()

    def undefine(self) -> None:
        """Forget it; its volumes stay. It must be stopped."""
        with self._translate("undefine"):
            self.raw.undefine()

    def start(self) -> None:
        with self._translate("start"):
            self.raw.create()

    def stop(self) -> None:
        """Its volumes stay where they are; guests that run keep them open."""
        with self._translate("stop"):
            self.raw.destroy()

    def refresh(self, *, patience_s: float = 20) -> None:
        """Have the host look through it again. Can take minutes on a big pool.

        Raises PoolBusy: a volume is being made there, and that did not end within `patience_s`.
        """
        end = time.monotonic() + patience_s
        while True:
            try:
                with self._translate("refresh"):
                    self.raw.refresh()
                return
            except HypervisorError as error:
                if _BUSY not in error.detail:
                    raise
                if time.monotonic() > end:
                    raise PoolBusy.because(f"look through pool {self.name}", self.host, detail=error.detail) from error
            time.sleep(_PAUSE_S)

    def find(self, name: str) -> Volume:
        """The volume, also one that the host has not noticed yet. Raises VolumeNotFound, PoolBusy."""
        try:
            return self.volume(name)
        except VolumeNotFound:
            self.refresh()
            return self.volume(name)

    def set_autostart(self, on: bool) -> None:
        with self._translate("change the autostart of"):
            self.raw.setAutostart(int(on))
