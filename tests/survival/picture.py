"""What the hosts really have: asked of libvirt and of the file systems, never of vmdash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from vmdash.lab.qemu_host import QemuHost

IMAGES = "/var/lib/libvirt/images"
FOLDERS = {"images": IMAGES, "nvram": "/var/lib/libvirt/qemu/nvram"}
SHARED = "shared"

T = TypeVar("T")


@dataclass(frozen=True)
class Picture:
    """All of it, or what belongs to one deed. Two of them are equal when nothing has changed."""

    guests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By name, and by each host that has it: its state."""
    disks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By `GUEST@HOST`: the files of its disks now, and those of its next start."""
    snapshots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By `GUEST@HOST`: their names, sorted. Guests without any are left out."""
    files: frozenset[str] = frozenset()
    """`HOST/images/NAME` and `shared/NAME`: every file, whether or not libvirt knows it."""

    def of(self, own: str) -> Self:
        """What is called `own`, or something that begins so."""
        return type(self)(
            guests={name: states for name, states in self.guests.items() if name.startswith(own)},
            disks={name: files for name, files in self.disks.items() if name.startswith(own)},
            snapshots={name: found for name, found in self.snapshots.items() if name.startswith(own)},
            files=frozenset(file for file in self.files if Path(file).name.startswith(own)),
        )

    def without(self, owned: Iterable[str]) -> Self:
        """What belongs to none of these."""
        owned = tuple(owned)
        return type(self)(
            guests={name: states for name, states in self.guests.items() if not name.startswith(owned)},
            files=frozenset(file for file in self.files if not Path(file).name.startswith(owned)),
        )

    def host_of(self, guest: str) -> str:
        """The one host that has it. Fails when that is not so."""
        (host,) = self.guests[guest]
        return host

    def changed(
        self,
        *,
        guests: Mapping[str, Mapping[str, str]] | None = None,
        disks: Mapping[str, tuple[str, ...]] | None = None,
        snapshots: Mapping[str, tuple[str, ...]] | None = None,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
    ) -> Self:
        """The same with these differences; an empty value takes something away."""
        return type(self)(
            guests=_merged(self.guests, guests or {}),
            disks=_merged(self.disks, disks or {}),
            snapshots=_merged(self.snapshots, snapshots or {}),
            files=(self.files - set(remove)) | set(add),
        )


def _merged(old: Mapping[str, T], new: Mapping[str, T]) -> dict[str, T]:
    return {name: value for name, value in {**old, **new}.items() if value}


def take(hosts: Mapping[str, QemuHost], own: Iterable[str]) -> Picture:
    """Of all hosts; disks and snapshots only of guests that are called `own`, or something that begins so."""
    owned = tuple(own)
    with ThreadPoolExecutor(len(hosts)) as threads:
        seen = dict(zip(hosts, threads.map(lambda host: _of_host(host, owned), hosts.values()), strict=True))
    guests: dict[str, dict[str, str]] = {}
    for host, (states, _, _, _) in seen.items():
        for name, state in states.items():
            guests.setdefault(name, {})[host] = state
    lab = next(iter(hosts.values())).lab
    files = {f"{SHARED}/{name}" for name in _names(lab.shared_images)}
    for host, (_, _, _, found) in seen.items():
        files |= {f"{host}/{file}" for file in found}
    return Picture(
        guests=guests,
        disks={f"{name}@{host}": paths for host, (_, disks, _, _) in seen.items() for name, paths in disks.items()},
        snapshots={f"{name}@{host}": all_ for host, (_, _, kept, _) in seen.items() for name, all_ in kept.items()},
        files=frozenset(files),
    )


_Seen = tuple[dict[str, str], dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], set[str]]


def _of_host(host: QemuHost, own: tuple[str, ...]) -> _Seen:
    states = {}
    for line in host.virsh("list", "--all").splitlines():
        _, name, state = line.split(maxsplit=2)
        states[name] = state.strip()
    ours = [name for name in states if name.startswith(own)]
    questions = ("domblklist {}", "domblklist {} --inactive", "snapshot-list {} --name")
    asked = [question.format(name) for name in ours for question in questions]
    # One virsh for all: starting one takes longer than an answer.
    said = host.virsh("; ".join(f"{one}; echo ::" for one in asked)) if asked else ""
    answers = iter([part.split("\n") for part in said.split("::")])
    disks, snapshots = {}, {}
    for name in ours:
        now, then, kept = next(answers), next(answers), next(answers)
        disks[name] = tuple(line.split()[-1] for line in (*now, *then) if line.strip())
        if names := tuple(sorted(line.strip() for line in kept if line.strip())):
            snapshots[name] = names
    files = {f"{key}/{name}" for key, folder in FOLDERS.items() for name in _names(host.root / folder.lstrip("/"))}
    return states, disks, snapshots, files


def _names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if not file.name.startswith(".")] if folder.exists() else []
