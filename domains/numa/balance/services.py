"""Asking for several guests of a host to be placed in its cells by one job, and for that to be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domains.actions import cannot, host_obstacle
from domains.models import Domain
from domains.numa.balance.job import BALANCE
from domains.numa.job import PLACE
from domains.numa.services import wanted
from domains.permitted import check_permitted
from domains.services import MOST_AT_ONCE
from hosts.models import Host
from vmdash.access.models import User
from vmdash.access.roles import Permission
from vmdash.exceptions import Conflict, InvalidInput, NotFound
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.live import cache

MOST_LOOKED_AT = 5
"""Jobs of the past, for one that can be undone."""


def balance(*, host: Host, cells: Mapping[UUID, int], user: User) -> Job:
    """Have these guests of the host placed, each in the cell of that number.

    Raises:
        InvalidInput: none or too many, or no such cell. NotFound: no such guest there. NotPermitted: not for one of
        them. Conflict: one does not fit; JobInTheWay: something else is done to the host.
    """
    if not 0 < len(cells) <= MOST_AT_ONCE:
        raise InvalidInput(f"Choose from 1 to {MOST_AT_ONCE} guests.")
    found = Domain.objects.visible_to(user).filter(host=host).select_related("host").in_bulk(list(cells))
    operated = Domain.objects.open_to(user, Permission.OPERATE).filter(host=host, pk__in=cells)
    allowed = set(operated.values_list("pk", flat=True))
    tick = cache.ticks([host.pk]).get(host.pk)
    moves = []
    for uuid, cell in cells.items():
        guest = found.get(uuid)
        if guest is None:
            raise NotFound(f"There is no such guest on {host.name}.")
        if uuid not in allowed:
            check_permitted(user, Permission.OPERATE, guest, PLACE.name)
        moves.append(
            {"guest": str(uuid), "name": guest.name, "after": wanted(guest, str(cell), tick).placement.stored()}
        )
    return _request(host, f"Balance the cells of {host.name}", {"moves": moves}, user)


@dataclass(frozen=True, slots=True)
class Balancing:
    """A job that placed guests of a host. `parts` placed those that are still so and that somebody may operate."""

    job: Job
    parts: Sequence[Job]

    def job_for(self, user: User) -> Job | None:
        """The job, where they may see it. One query."""
        return Job.objects.visible_to(user).filter(pk=self.job.pk).first()


def undoable(host: Host, user: User) -> Balancing | None:
    """The last one with guests that `user` may operate and that are still as it placed them. What undid another one is
    none. Four queries, one where there is none."""
    ended = Job.objects.filter(kind=BALANCE.name, target_kind="host", target_id=str(host.pk)).exclude(finished_at=None)
    balanced = [job for job in ended[:MOST_LOOKED_AT] if not _is_undo(job)]
    if not balanced:
        return None
    standing = _standing(balanced, host, user)
    for job in balanced:
        if parts := [part for part in standing if part.parent_id == job.pk]:
            return Balancing(job, parts)
    return None


def undo(*, host: Host, user: User) -> Job:
    """Set again what held before the last balancing, for those of its guests that nobody has placed since.

    Raises:
        Conflict: there is none; JobInTheWay.
    """
    last = undoable(host, user)
    if last is None:
        raise Conflict(f"No guest on {host.name} is as a balancing placed it, or you may not operate it.")
    moves = [{"guest": part.target_id, "name": part.target_name, "undoes": str(part.pk)} for part in last.parts]
    return _request(host, f"Undo: {last.job.label}", {"moves": moves}, user)


def _is_undo(job: Job) -> bool:
    return any("undoes" in move for move in job.parameters["moves"])


def _standing(balanced: Sequence[Job], host: Host, user: User) -> list[Job]:
    """Their placements that are the last of their guests, on guests that are there and that `user` may operate."""
    parts = list(Job.objects.filter(parent__in=balanced, kind=PLACE.name, state=Job.State.SUCCEEDED))
    guests = Domain.objects.open_to(user, Permission.OPERATE)
    there = guests.filter(host=host, pk__in={part.target_id for part in parts}).values_list("pk", flat=True)
    done = Job.objects.filter(
        kind=PLACE.name, target_kind="domain", target_id__in=[str(uuid) for uuid in there], state=Job.State.SUCCEEDED
    )
    last = dict(done.order_by("finished_at").values_list("target_id", "pk"))
    return [part for part in parts if last.get(part.target_id) == part.pk and "before" in part.parameters]


def _request(host: Host, title: str, parameters: Mapping[str, Any], user: User) -> Job:
    if reason := host_obstacle(host, host.name):
        raise Conflict(cannot(title, reason))
    return jobs.create(
        kind=BALANCE,
        user=user,
        target=jobs.Target(kind="host", id=str(host.pk), name=host.name, host_name=host.name),
        label=title,
        parameters=parameters,
    )
