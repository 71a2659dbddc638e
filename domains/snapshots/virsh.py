"""The virsh commands that do the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from domains.models import Domain
from domains.snapshots.models import Snapshot, SnapshotKind
from hosts.connect import endpoint


def _command(domain: Domain, *words: str) -> str:
    awkward = domain.name.isdigit() or domain.name.startswith("-")
    name = str(domain.uuid) if awkward else domain.name
    verb, *rest = words
    return shlex.join(["virsh", "-c", endpoint(domain.host).uri(), verb, name, *rest])


def create(
    domain: Domain, kind: SnapshotKind, name: str, disks: Mapping[str, str], memory_file: str, *, quiesce: bool
) -> str:
    words = ["snapshot-create-as", name]
    for target, overlay in disks.items():
        words += ["--diskspec", f"{target},snapshot=external,file={overlay}"] if overlay else []
    if kind == SnapshotKind.DISKS:
        words += ["--disk-only", "--atomic", *(["--quiesce"] if quiesce else [])]
    elif kind == SnapshotKind.FILES:
        words += ["--memspec", f"file={memory_file},snapshot=external", "--live"]
    return _command(domain, *words)


def revert(domain: Domain, snapshot: Snapshot, *, running: bool | None) -> str:
    state = {None: [], True: ["--running"], False: ["--paused"]}[running]
    return _command(domain, "snapshot-revert", snapshot.name, *state, "--force")


def delete(domain: Domain, snapshot: Snapshot, *, metadata_only: bool) -> str:
    return _command(domain, "snapshot-delete", snapshot.name, *(["--metadata"] if metadata_only else []))


def flatten(domain: Domain, targets: list[str]) -> str:
    return "; ".join(_command(domain, "blockpull", target, "--wait", "--verbose") for target in targets)
