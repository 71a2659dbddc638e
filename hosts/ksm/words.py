"""What a host merges, as its column tells it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from hosts.models import Host
from vmdash import formats


@dataclass(frozen=True, slots=True)
class ShownKsm:
    """`saved_kib` is None where the host does not tell how large a page is."""

    pages_to_scan: int
    sleep_ms: int
    shared: int
    sharing: int
    unshared: int
    full_scans: int
    merge_across_nodes: bool | None
    page_kib: int | None

    @property
    def saved_kib(self) -> int | None:
        return None if self.page_kib is None else self.sharing * self.page_kib

    @property
    def rate_kib(self) -> float | None:
        """Looked at in a second at most, KiB: the looking itself takes time, too."""
        if self.page_kib is None or not self.sleep_ms:
            return None
        return self.pages_to_scan * self.page_kib * 1000 / self.sleep_ms

    @property
    def is_off(self) -> bool:
        return self.pages_to_scan == 0

    @property
    def state(self) -> str:
        if self.is_off:
            stays = " What is merged stays so until a guest writes to it." if self.sharing else ""
            return f"Off: it looks at no pages.{stays}"
        if self.full_scans or self.shared:
            times = "once" if self.full_scans == 1 else f"{formats.number(self.full_scans)} times"
            return f"It has gone through all that may be merged {times} since the host started."
        return (
            "It has never gone through what may be merged: it is probably switched off on the host itself "
            "(/sys/kernel/mm/ksm/run), which libvirt neither tells nor changes."
        )


def shown(host: Host) -> ShownKsm | None:
    """None where the host tells nothing of it."""
    return ShownKsm(**host.ksm) if host.ksm else None
