"""What else is copied on a guest's host now: work that other guests, and images, make for its disks and network."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q

from domains.models import Domain
from vmdash.access.roles import Permission, can
from vmdash.jobs.models import Job
from vmdash.jobs.told import as_told

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

_MOVE, _CLONE = "domain.migrate", "domain.clone"
_SNAPSHOT = ("snapshot", "snapshots")
_VOLUME = ("copy of a volume", "copies of volumes")
COPIES = {
    _MOVE: ("move", "moves"),
    _CLONE: ("clone", "clones"),
    "snapshot.create": _SNAPSHOT,
    "snapshot.revert": _SNAPSHOT,
    "snapshot.delete": _SNAPSHOT,
    "snapshot.merge": _SNAPSHOT,
    "image.copy": ("copy of an image", "copies of images"),
    "image.verify": ("check of an image", "checks of images"),
    "volume.clone": _VOLUME,
    "volume.convert": _VOLUME,
    "volume.upload": ("upload", "uploads"),
    "volume.wipe": ("wipe of a volume", "wipes of volumes"),
}
"""Kinds of jobs that read or write much, and how one and several are called."""
NAMED = 3
"""So many are named in the sentence."""


def copies_beside(user: User | AnonymousUser, guest: Domain) -> str:
    """In a sentence, how many of each kind, and the labels of those that `user` may see; empty when there are none.
    Those who may not see the host are told of jobs alone that they may see. Of moves and clones also those that come.
    Two queries at most. Needs `guest.host`."""
    here = (
        Q(host_name=guest.host.name)
        | Q(kind=_MOVE, parameters__target=guest.host_id)
        | Q(kind=_CLONE, parameters__host=guest.host_id)
    )
    found = list(
        Job.objects.filter(here, state=Job.State.RUNNING, kind__in=COPIES)
        .exclude(target_kind="domain", target_id=str(guest.pk))
        .annotate(is_seen=Exists(Job.objects.visible_to(user).filter(pk=OuterRef("pk"))))
        .order_by("started_at", "created_at")
    )
    seen = [job for job in found if job.is_seen]  # type: ignore[attr-defined]  # annotated above
    if not can(user, Permission.VIEW, guest.host):
        found = seen
    if not found:
        return ""
    counts = Counter(COPIES[job.kind] for job in found)
    parts = [f"{count} {several if count > 1 else one}" for (one, several), count in counts.items()]
    labels = [job.label for job in as_told(seen[:NAMED], user)]
    named = f" ({'; '.join(labels)})" if labels else ""
    return f"What may cause this: {_listed(parts)} at work on {guest.host.name} now{named}."


def _listed(parts: list[str]) -> str:
    """ "a, b and c" """
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else parts[0]
