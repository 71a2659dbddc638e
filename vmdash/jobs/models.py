"""Jobs: everything that changes the world, as a row."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q

from vmdash.access.roles import Permission, can

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: User | AnonymousUser) -> JobQuerySet:
        """One's own jobs; everybody's for those who may see them."""
        if can(user, Permission.VIEW_ALL_JOBS):
            return self
        return self.filter(requested_by_id=user.pk) if can(user, Permission.VIEW) else self.none()

    def unfinished(self) -> JobQuerySet:
        return self.filter(state__in=Job.UNFINISHED)


class Job(models.Model):
    """One piece of work: who asked, for what, and what really came of it.

    queued ──► running ──► succeeded | failed | cancelled
       │          │
       │          └──► lost ──► succeeded | failed | reconciled | cancelled
       └──► cancelled

    A job is lost when its worker died or it outlasted its time limit. Then libvirt is asked what is true; `reconciled`
    are those of which that does not tell whether they came about. A running or lost job is cancelled in two steps:
    somebody asks for it (`cancel_requested_at`), and when everything is undone the state says so.

    Every change of state is a conditional UPDATE (`vmdash.jobs.transitions`); whose UPDATE touches
    a row has won. At most one unfinished job with `exclusive` exists per target. What may happen only so often at once
    takes places (`JobPlace`); while they are taken the job stays queued, and `waiting_for` says for what.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "done"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"
        LOST = "lost", "interrupted"
        RECONCILED = "reconciled", "interrupted, then checked"

    UNFINISHED = (State.QUEUED, State.RUNNING, State.LOST)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=40)
    """A registered kind (`vmdash.jobs.registry`), such as `domain.start`."""
    label = models.CharField(max_length=200)
    """What people read: "Start web1"."""
    target_kind = models.CharField(max_length=20)
    """`domain`, `host`, `pool`, `volume` or empty."""
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    host_name = models.CharField(max_length=64, blank=True)
    exclusive = models.BooleanField(default=False)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="jobs"
    )
    requested_by_name = models.CharField(max_length=150, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    progress_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    phase = models.CharField(max_length=120, blank=True)
    """What it is doing now, in words: "Waiting for the guest to shut down"."""
    waiting_for = models.CharField(max_length=200, blank=True)
    """Why it is still queued, in a sentence: "kvm1 sends two guests already." """
    done_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    total_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    """May grow: a guest that runs keeps changing the memory that is to be moved."""
    rate_bytes_per_s = models.PositiveBigIntegerField(null=True, blank=True)
    seconds_left = models.PositiveIntegerField(null=True, blank=True)
    figures = models.JSONField(default=dict, blank=True)
    """What else this kind shows while it lasts, such as the rounds of a migration."""
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children")
    """The job that this one is a part of."""
    retry_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries")
    result = models.JSONField(default=dict, blank=True)
    error = models.CharField(max_length=500, blank=True)
    """What failed, where, and what to do next."""
    error_detail = models.TextField(blank=True)
    """The raw message, shown under Details."""
    virsh = models.CharField(max_length=500, blank=True)
    """The equivalent `virsh` command."""
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["target_kind", "target_id", "-created_at"]),
            models.Index(fields=["state"]),
            models.Index(fields=["-created_at"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["target_kind", "target_id"],
                condition=Q(exclusive=True, state__in=["queued", "running", "lost"]),
                name="one_changing_job_per_target",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def is_cancelling(self) -> bool:
        """Whether it is being undone because somebody asked for that."""
        return self.cancel_requested_at is not None and self.state in (Job.State.RUNNING, Job.State.LOST)

    @property
    def state_words(self) -> str:
        """What people read as its state."""
        return "cancelling" if self.is_cancelling else Job.State(self.state).label


class JobLine(models.Model):
    """One line of a job's log."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField(auto_now_add=True)
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text


class JobPlace(models.Model):
    """A place that an unfinished job occupies, of the few that there are of its sort (`vmdash.jobs.places`)."""

    name = models.CharField(max_length=160, unique=True)
    """The resource and the number of the place: `migration-out:kvm1 2`."""
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="places")

    def __str__(self) -> str:
        return self.name
