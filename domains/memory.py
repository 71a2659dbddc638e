"""Whether a host has the memory for one more guest, by its newest figures. Asks no host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domains.models import Domain
from hosts.models import Host
from vmdash import formats

if TYPE_CHECKING:
    from vmdash.live.messages import HostSample


def free_kib(sample: HostSample | None) -> int | None:
    """Memory of a host that nobody uses now; None where that is not known."""
    if sample is None or sample["mem"] is None or not sample["mem_total"]:
        return None
    return sample["mem_total"] - sample["mem"]


def too_little_memory(host: Host, left_kib: int, guest: Domain) -> str:
    """Why the guest cannot run on a host that has so much left, in a sentence."""
    left, need = formats.kib(max(0, left_kib)), formats.kib(guest.max_memory_kib)
    return f"{host.name} has {left} of memory left, too little for its {need}."
