"""Tells the storage which guests use which images."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from domains.models import ACTIVE_STATES, Domain, DomainState
from storage.uses import DiskUse

if TYPE_CHECKING:
    from vmdash.access.models import User


def guests_disks(*, host_ids: Collection[int] | None, user: User | None) -> Iterator[DiskUse]:
    """The disks of guests that exist. One query."""
    guests = Domain.objects.present() if user is None else Domain.objects.visible_to(user)
    if host_ids is not None:
        guests = guests.filter(host__in=host_ids)
    columns = ("uuid", "name", "host_id", "host__name", "state", "disks")
    for uuid, name, host_id, host_name, state, disks in guests.values_list(*columns):
        for disk in disks:
            if disk.get("source"):
                yield DiskUse(
                    guest=str(uuid),
                    name=name,
                    host_id=host_id,
                    host_name=host_name,
                    active=state in ACTIVE_STATES,
                    state=DomainState(state).label,
                    target=disk["target"],
                    source=disk["source"],
                    readonly=disk["readonly"],
                    backing=tuple(disk.get("backing", ())),
                )
