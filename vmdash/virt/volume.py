"""Storage volumes."""

from __future__ import annotations

from dataclasses import dataclass

import libvirt

from vmdash.virt.errors import CallUnsupported, InvalidState
from vmdash.virt.transfer import DownloadStream, UploadStream
from vmdash.virt.translation import translate
from vmdash.virt.xml.volume import VolumeDefinition, WipeAlgorithm

_WIPE = {
    WipeAlgorithm.ZERO: libvirt.VIR_STORAGE_VOL_WIPE_ALG_ZERO,
    WipeAlgorithm.RANDOM: libvirt.VIR_STORAGE_VOL_WIPE_ALG_RANDOM,
    WipeAlgorithm.TRIM: libvirt.VIR_STORAGE_VOL_WIPE_ALG_TRIM,
}


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """``allocation_bytes`` is what it takes on the storage now."""

    capacity_bytes: int
    allocation_bytes: int


class Volume:
    """One volume on one host. Every method blocks and raises VirtError."""

    __slots__ = ("host", "name", "raw")

    def __init__(self, raw: libvirt.virStorageVol, host: str) -> None:
        self.raw = raw
        self.host = host
        self.name: str = raw.name()

    def __repr__(self) -> str:
        return f"<Volume {self.name} on {self.host}>"

    def _translate(self, verb: str) -> translate:
        return translate(f"{verb} volume {self.name}", self.host)

    @property
    def pool_name(self) -> str:
        with self._translate("find the pool of"):
            return str(self.raw.storagePoolLookupByVolume().name())

    def path(self) -> str:
        with self._translate("read the path of"):
            return str(self.raw.path())

    def key(self) -> str:
        with self._translate("read the key of"):
            return str(self.raw.key())

    def xml(self) -> str:
        with self._translate("read the definition of"):
            return str(self.raw.XMLDesc())

    def definition(self) -> VolumeDefinition:
        return VolumeDefinition.parse(self.xml())

    def use(self) -> VolumeUse:
        """Asked of the storage at each call, so it shows how far a copy is."""
        with self._translate("read the size of"):
            _, capacity, allocation = self.raw.info()
            return VolumeUse(capacity, allocation)

    def resize(self, capacity_bytes: int, *, shrink: bool = False, allocate: bool = False) -> None:
        """Change its size. No guest that runs may have it: use the guest's block resize then."""
        flags = (libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK if shrink else 0) | (
            libvirt.VIR_STORAGE_VOL_RESIZE_ALLOCATE if allocate else 0
        )
        with self._translate("resize"):
            self.raw.resize(capacity_bytes, flags)

    def wipe(self, algorithm: WipeAlgorithm = WipeAlgorithm.ZERO) -> None:
        """Overwrite its content. Blocks until that is through."""
        with self._translate("wipe"):
            self.raw.wipePattern(_WIPE[algorithm])

    def delete(self) -> None:
        with self._translate("delete"):
            self.raw.delete()

    def upload(self, *, offset: int = 0, length: int = 0, sparse: bool = False) -> UploadStream:
        """Write into it, from ``offset`` on and at most ``length`` bytes (0: as many as it holds).

        ``sparse`` lets ``skip`` leave zeros out; the volume must be empty from ``offset`` on. The host looks through
        the whole pool when the stream ends, and so finds out the format of what was written.
        """
        return UploadStream(self.raw, self.name, self.host, offset=offset, length=length, sparse=sparse)

    def download(self, *, offset: int = 0, length: int = 0, sparse: bool = False) -> DownloadStream:
        """Read its bytes as they are stored, from ``offset`` on and ``length`` of them (0: to the end).

        With ``sparse`` holes come as such where the daemon tells them.
        """
        return DownloadStream(self.raw, self.name, self.host, offset=offset, length=length, sparse=sparse)

    def is_being_made(self) -> bool:
        """Whether the host is still at work on it: allocating it, or copying into it.

        libvirt does not tell, but it lets nobody read such a volume. (9.0: "volume is still being allocated".)
        """
        try:
            self.download(length=1).abort()
        except InvalidState:
            return True
        except CallUnsupported:
            return False
        return False
