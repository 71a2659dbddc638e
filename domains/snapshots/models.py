"""Snapshots as they were seen last, and the schedules that take them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Self

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from domains.places import from_guest
from vmdash.access.reach import Place, PlacedQuerySet, Scope, within
from vmdash.access.table import Permission

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


class SnapshotKind(models.TextChoices):
    """What a snapshot to be taken holds, and where. The labels are what people choose from."""

    DISKS = "disks", "Disks only, each in an overlay beside its image"
    FILES = "files", "Whole machine: memory in a file, disks in overlays"
    INTERNAL = "internal", "Whole machine, inside the disk images"


class SnapshotQuerySet(PlacedQuerySet["Snapshot"]):
    paths = from_guest("domain")

    def open_to(self, user: User | AnonymousUser, permission: Permission) -> Self:
        return within(self.filter(domain__gone_at=None), user, self.paths, permission)


class Snapshot(models.Model):
    """One snapshot of a guest. What libvirt does not keep in mind (`quiesced`) is written by the job that took it."""

    domain = models.ForeignKey("domains.Domain", on_delete=models.CASCADE, related_name="snapshots")
    name = models.CharField(max_length=255)
    parent_name = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    guest_state = models.CharField(max_length=20, blank=True)
    """The guest's then: running, paused, shutoff; `disk-snapshot` when it ran and its memory was left out."""
    current = models.BooleanField(default=False)
    """What the guest's disks hold now came out of this one."""
    internal = models.BooleanField(default=False)
    """Part of it is inside of the disk images."""
    external = models.BooleanField(default=False)
    """Part of it is outside of them: in overlays, or the memory in a file."""
    memory = models.BooleanField(default=False)
    """With the guest's memory."""
    memory_file = models.CharField(max_length=1000, blank=True)
    disks = models.JSONField(default=list, blank=True)
    """`[{"target", "place", "base", "overlay"}]`, after `vmdash.virt.xml.snapshot.SnapshotDisk`."""
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    """What its overlays and its memory file took on the storage when it was read last; None where that is not known."""
    half_merged = models.BooleanField(default=False)
    """Deleting it was begun and not finished: what came after it may be mixed into it, so it is of no use any more."""
    quiesced = models.BooleanField(null=True, blank=True)
    """The guest's file systems were frozen by its agent; None where that is not known or says nothing."""
    not_quiesced_because = models.CharField(max_length=300, blank=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "name"]
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="one_snapshot_per_name_and_guest")]

    def __str__(self) -> str:
        return self.name

    @property
    def kind_words(self) -> str:
        what = "whole machine" if self.memory else "disks only"
        if self.internal and self.external:
            return f"{what}, mixed"
        return f"{what}, {'internal' if self.internal else 'external'}"


class ScheduleQuerySet(PlacedQuerySet["SnapshotSchedule"]):
    paths = {**from_guest("domain"), Scope.TAG: ["tag", *from_guest("domain")[Scope.TAG]]}


class SnapshotSchedule(models.Model):
    """When snapshots are taken by themselves, of one guest or of all with a tag, and which of them are kept.

    Times are those of the site's time zone (`VMDASH_TIME_ZONE`).
    """

    class Every(models.TextChoices):
        HOUR = "hour", "every hour"
        DAY = "day", "every day"
        WEEK = "week", "every week"

    class Weekday(models.IntegerChoices):
        MONDAY = 0, "Monday"
        TUESDAY = 1, "Tuesday"
        WEDNESDAY = 2, "Wednesday"
        THURSDAY = 3, "Thursday"
        FRIDAY = 4, "Friday"
        SATURDAY = 5, "Saturday"
        SUNDAY = 6, "Sunday"

    name = models.CharField(max_length=60, unique=True)
    domain = models.ForeignKey(
        "domains.Domain", on_delete=models.CASCADE, null=True, blank=True, related_name="snapshot_schedules"
    )
    tag = models.ForeignKey(
        "hosts.Tag", on_delete=models.CASCADE, null=True, blank=True, related_name="snapshot_schedules"
    )
    kind = models.CharField(max_length=10, choices=SnapshotKind, default=SnapshotKind.DISKS)
    quiesce = models.BooleanField(default=True)
    every = models.CharField(max_length=4, choices=Every, default=Every.DAY)
    at = models.TimeField(default=datetime.time(2, 0))
    """Of an hourly one only the minute counts."""
    weekday = models.PositiveSmallIntegerField(choices=Weekday, default=Weekday.SUNDAY)
    """Of a weekly one."""
    keep_last = models.PositiveSmallIntegerField(default=3, validators=[MaxValueValidator(100)])
    keep_hourly = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    keep_daily = models.PositiveSmallIntegerField(default=7, validators=[MaxValueValidator(100)])
    keep_weekly = models.PositiveSmallIntegerField(default=4, validators=[MaxValueValidator(100)])
    keep_monthly = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)])
    enabled = models.BooleanField(default=True)
    handled_until = models.DateTimeField()
    """Every time up to this one has been seen to: times before it are never made up for."""
    created_by_name = models.CharField(max_length=150, blank=True)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(domain__isnull=False, tag__isnull=True) | Q(domain__isnull=True, tag__isnull=False),
                name="schedule_of_one_guest_or_one_tag",
            ),
            models.CheckConstraint(
                condition=Q(keep_last__gt=0)
                | Q(keep_hourly__gt=0)
                | Q(keep_daily__gt=0)
                | Q(keep_weekly__gt=0)
                | Q(keep_monthly__gt=0),
                name="schedule_keeps_something",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def places(self) -> list[Place]:
        """Where grants reach it: those of its guest, or its tag."""
        return self.domain.places() if self.domain else [(Scope.TAG, str(self.tag_id))]


class ScheduledSnapshot(models.Model):
    """That a schedule saw to one guest at one time. What it took is its own, and nothing else is ever pruned by it."""

    schedule = models.ForeignKey(SnapshotSchedule, on_delete=models.CASCADE, related_name="runs")
    domain = models.ForeignKey("domains.Domain", on_delete=models.CASCADE, related_name="scheduled_snapshots")
    due_at = models.DateTimeField()
    snapshot_name = models.CharField(max_length=255, blank=True)
    """Empty while it could not be asked for."""
    job = models.ForeignKey("jobs.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    problem = models.CharField(max_length=500, blank=True)
    """Why it could not be asked for, in a sentence."""
    pruning_job = models.ForeignKey("jobs.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    """The job that deletes it, the last one if it had to be tried again."""

    class Meta:
        ordering = ["-due_at"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "domain", "due_at"], name="one_snapshot_per_schedule_and_time")
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} of {self.domain_id} at {self.due_at}"
