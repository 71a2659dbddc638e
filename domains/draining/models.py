"""What was done with the guests of a host that was drained, so that they can be brought back."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from hosts.places import from_host
from vmdash.access.reach import PlacedQuerySet
from vmdash.jobs.models import Job


class How(models.TextChoices):
    """What happens to one guest. The first five drain its host, the last three and the moves bring it back."""

    MOVE_LIVE = "move_live", "Move live"
    MOVE_OFF = "move_off", "Move while off"
    SAVE = "save", "Save and stop"
    SHUTDOWN = "shutdown", "Shut down"
    LEAVE = "leave", "Leave as it is"
    RESTORE = "restore", "Restore"
    START = "start", "Start"

    @property
    def is_move(self) -> bool:
        return self in (How.MOVE_LIVE, How.MOVE_OFF)


class Fallback(models.TextChoices):
    """What becomes of guests that cannot move."""

    SAVE = "save", "Save and stop them"
    SHUTDOWN = "shutdown", "Shut them down"
    LEAVE = "leave", "Leave them running"


class DrainQuerySet(PlacedQuerySet["Drain"]):
    paths = from_host("host")

    def open(self) -> DrainQuerySet:
        """Those whose host is still in maintenance."""
        return self.filter(ended_at=None)


class Drain(models.Model):
    """One maintenance of one host, from its drain to its end. Draining again meanwhile goes on with the same one."""

    host = models.ForeignKey("hosts.Host", on_delete=models.CASCADE, related_name="drains")
    fallback = models.CharField(max_length=10, choices=Fallback)
    begun_by_name = models.CharField(max_length=150, blank=True)
    begun_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = DrainQuerySet.as_manager()

    class Meta:
        ordering = ["-begun_at"]
        constraints = [
            models.UniqueConstraint(fields=["host"], condition=Q(ended_at=None), name="one_open_drain_per_host")
        ]

    def __str__(self) -> str:
        return f"{self.host} since {self.begun_at}"


class DrainedGuest(models.Model):
    """What is done to one guest: to drain its host or, with `returning`, to bring it back.

    planned ──► begun ──► done | failed | cancelled
       ├──► left | failed | cancelled
    left: nothing was to be done, and `why` says why.

    The row is written before its job is made, and `begun` together with the job: whoever takes over from a worker that
    was killed finds either no job and nothing done, or the job that tells what came of it.
    """

    class Outcome(models.TextChoices):
        PLANNED = "planned", "not begun"
        BEGUN = "begun", "under way"
        DONE = "done", "done"
        LEFT = "left", "left as it was"
        FAILED = "failed", "failed"
        CANCELLED = "cancelled", "cancelled"

    drain = models.ForeignKey(Drain, on_delete=models.CASCADE, related_name="guests")
    returning = models.BooleanField(default=False)
    position = models.PositiveIntegerField()
    uuid = models.UUIDField()
    """Of the guest, whose row may be gone when it is looked at again."""
    name = models.CharField(max_length=255)
    from_state = models.CharField(max_length=12)
    """Its `DomainState` when this was begun."""
    how = models.CharField(max_length=10, choices=How)
    target = models.ForeignKey("hosts.Host", on_delete=models.SET_NULL, null=True, related_name="+")
    """Where it moves to."""
    target_name = models.CharField(max_length=64, blank=True)
    why = models.CharField(max_length=500, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.PLANNED)
    error = models.CharField(max_length=500, blank=True)
    job = models.ForeignKey("jobs.Job", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["drain", "uuid", "returning"], name="one_step_per_guest_and_direction")
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.how}"

    @property
    def state_words(self) -> str:
        """What its state was, in words."""
        from domains.models import DomainState

        return str(DomainState(self.from_state).label)


def is_done() -> Q:
    """Also where the job that wrote this down ended before it could."""
    return Q(outcome=DrainedGuest.Outcome.DONE) | Q(outcome=DrainedGuest.Outcome.BEGUN, job__state=Job.State.SUCCEEDED)
