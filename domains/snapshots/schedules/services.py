"""Making, changing and removing schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from domains.snapshots.models import SnapshotSchedule
from vmdash.access.audit import record
from vmdash.access.roles import Permission, can
from vmdash.exceptions import NotPermitted

if TYPE_CHECKING:
    from vmdash.access.models import User

_RHYTHM = ("every", "at", "weekday", "enabled")


def save(*, schedule: SnapshotSchedule, user: User) -> SnapshotSchedule:
    """Store a new or changed one, whose fields are checked. When its times have changed they count from now on.

    Raises:
        NotPermitted
    """
    _check(schedule, user)
    before = SnapshotSchedule.objects.filter(pk=schedule.pk).first() if schedule.pk else None
    if before is None or any(getattr(before, name) != getattr(schedule, name) for name in _RHYTHM):
        schedule.handled_until = timezone.now()
    else:
        schedule.handled_until = before.handled_until  # the scheduler may have moved it meanwhile
    if before is None:
        schedule.created_by_name = user.username
    schedule.save()
    _note(schedule, user, "create" if before is None else "change")
    return schedule


def set_enabled(*, schedule: SnapshotSchedule, enabled: bool, user: User) -> None:
    """While it is disabled it takes nothing and deletes nothing. Raises NotPermitted."""
    _check(schedule, user)
    changed = SnapshotSchedule.objects.filter(pk=schedule.pk, enabled=not enabled).update(
        enabled=enabled, handled_until=timezone.now()
    )
    if changed:
        _note(schedule, user, "enable" if enabled else "disable")


def remove(*, schedule: SnapshotSchedule, user: User) -> None:
    """Its snapshots stay, as ones that nobody prunes. Raises NotPermitted."""
    _check(schedule, user)
    _note(schedule, user, "remove")
    schedule.delete()


def _check(schedule: SnapshotSchedule, user: User) -> None:
    if not can(user, Permission.SNAPSHOT, schedule):
        _note(schedule, user, "change", refused=True)
        raise NotPermitted(f"You may not {Permission.SNAPSHOT.label}.")


def _note(schedule: SnapshotSchedule, user: User, verb: str, *, refused: bool = False) -> None:
    record(
        user=user,
        action=f"snapshot_schedule.{verb}",
        target_kind="snapshot_schedule",
        target_id=schedule.pk or "",
        target_name=schedule.name,
        refused=refused,
    )
