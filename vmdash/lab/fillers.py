"""Many cheap guests without an operating system, for benchmarks: about 44 MB of memory each, and no CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from vmdash.lab import xml
from vmdash.lab.qemu_host import QemuHost


@contextmanager
def filler_guests(hosts: Sequence[QemuHost], count: int) -> Iterator[dict[str, list[str]]]:
    """Inside the block `count` filler guests run, shared out evenly; yields their names by host name.

    They are transient: afterwards nothing is left of them.
    """
    names: dict[str, list[str]] = {host.spec.name: [] for host in hosts}
    for number in range(count):
        host = hosts[number % len(hosts)]
        names[host.spec.name].append(f"filler-{number + 1:03}")
    with ThreadPoolExecutor(len(hosts)) as threads:
        try:
            list(threads.map(lambda host: _create(host, names[host.spec.name]), hosts))
            yield names
        finally:
            list(threads.map(lambda host: _destroy(host, names[host.spec.name]), hosts))


def _create(host: QemuHost, names: Sequence[str]) -> None:
    draft = host.directory / "filler.xml"
    for name in names:
        draft.write_text(xml.filler(host.lab, name))
        host.virsh("create", str(draft))


def _destroy(host: QemuHost, names: Sequence[str]) -> None:
    """Also after a failure half-way, so only those which exist."""
    existing = set(host.virsh("list", "--all", "--name").split())
    for name in names:
        if name in existing:
            host.virsh("destroy", name)
