"""Jobs: everything that changes the world, as a row."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, Value, When
from django.db.models.functions import Cast, Replace

from vmdash.access import subjects
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.access.subjects import About, Subject

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


TARGET_GUEST = Case(
    When(target_kind="domain", then=Cast(Replace("target_id", Value("-"), Value("")), models.UUIDField())),
    output_field=models.UUIDField(),
)
"""The guest that a job is about, as a UUID that the database compares by an index."""


def _about(user: User | AnonymousUser, permission: Permission) -> Q:
    """Jobs whose target `user` may do this to: a guest wherever it is now; everything else, and guests that are not
    there, by the host. Needs `target_guest`."""
    if can_everywhere(user, permission):
        return Q()
    if not can(user, permission):
        return Q(pk__in=[])
    guests = subjects.reached(Subject.GUEST, user, permission)
    hosts = subjects.reached(Subject.HOST, user, permission)
    is_known = Q(Exists(subjects.all_of(Subject.GUEST).filter(pk=OuterRef("target_guest"))))
    return Q(target_guest__in=guests.values("pk")) | (Q(host_name__in=hosts.values("name")) & ~is_known)


class JobQuerySet(models.QuerySet["Job"]):
    def visible_to(self, user: User | AnonymousUser) -> JobQuerySet:
        """One's own jobs about what one may see; everybody's about that of which one may see the jobs."""
        if can_everywhere(user, Permission.VIEW_ALL_JOBS):
            return self
        everybodys, seen = _about(user, Permission.VIEW_ALL_JOBS), _about(user, Permission.VIEW)
        return self.alias(target_guest=TARGET_GUEST).filter(everybodys | Q(seen, requested_by_id=user.pk))

    def about(self, user: User | AnonymousUser, permission: Permission) -> JobQuerySet:
        """Those about what `user` may do this to."""
        return self.alias(target_guest=TARGET_GUEST).filter(_about(user, permission))

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
    requested_with = models.CharField(max_length=80, blank=True, default="")
    """The name of the token by which they came, if by one."""
    parameters = models.JSONField(default=dict, blank=True)
    """What its kind needs. The names of other hosts than `host_name` that the words of a job about a guest may have in
    them stand under `source_name`, `target_name` and `target_names`."""
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
    def about(self) -> About:
        """What rights to the job follow from: its guest, or else the host that it happens on."""
        guest = self.target_id if self.target_kind == "domain" else None
        return About(self.host_name, guest)

    @property
    def named_hosts(self) -> set[str]:
        """The names of hosts that its label, its command and what it says may have in them."""
        told = self.parameters if self.target_kind == "domain" else {}
        names = (self.host_name, told.get("source_name"), told.get("target_name"), *told.get("target_names", ()))
        return {name for name in names if name}

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
