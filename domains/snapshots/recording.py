"""What libvirt says of a guest's snapshots, written into the database: only what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from domains.snapshots.models import Snapshot
from vmdash.virt.xml.snapshot import Place, SnapshotDefinition

if TYPE_CHECKING:
    from uuid import UUID

    from vmdash.virt.snapshot import SnapshotFacts


def record_snapshots(
    domain_id: UUID, seen: Iterable[SnapshotFacts], *, sizes: Mapping[str, int | None] | None = None
) -> None:
    """These are all the snapshots that the guest has. `sizes` in bytes by name, where they were looked at."""
    known = {row.name: row for row in Snapshot.objects.filter(domain_id=domain_id)}
    for facts in seen:
        columns = _columns(facts.definition, current=facts.current)
        if sizes is not None and facts.definition.name in sizes:
            columns["size_bytes"] = sizes[facts.definition.name]
        row = known.pop(facts.definition.name, None)
        if row is None:
            Snapshot.objects.update_or_create(domain_id=domain_id, name=facts.definition.name, defaults=columns)
        elif changed := [name for name, value in columns.items() if getattr(row, name) != value]:
            for name in changed:
                setattr(row, name, columns[name])
            row.save(update_fields=changed)
    if known:
        Snapshot.objects.filter(pk__in=[row.pk for row in known.values()]).delete()


def _columns(definition: SnapshotDefinition, *, current: bool) -> dict[str, Any]:
    return {
        "parent_name": definition.parent,
        "description": definition.description,
        "created_at": definition.created_at,
        "guest_state": definition.state,
        "current": current,
        "internal": definition.is_internal,
        "external": definition.is_external,
        "memory": definition.memory is not Place.NONE,
        "memory_file": definition.memory_file,
        "disks": [
            {"target": disk.target, "place": str(disk.place), "base": disk.base, "overlay": disk.overlay}
            for disk in definition.disks
            if disk.place is not Place.NONE
        ],
    }
