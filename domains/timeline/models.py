"""What states guests were in, and where, at any time that is remembered."""

from __future__ import annotations

from django.db import models


class GuestEvent(models.Model):
    """A guest changed its state or its place. It tells both as they were from then on, and outlives the guest's row.

    seen ──► state, moved … ──► gone ──► seen …
    """

    class Kind(models.TextChoices):
        SEEN = "seen", "seen for the first time"
        STATE = "state", "changed its state"
        MOVED = "moved", "moved"
        GONE = "gone", "is defined nowhere any more"

    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    at = models.DateTimeField()
    kind = models.CharField(max_length=8, choices=Kind)
    host_name = models.CharField(max_length=64)
    state = models.CharField(max_length=12)
    """A `DomainState`."""
    state_reason = models.CharField(max_length=40, blank=True)
    witnessed = models.BooleanField(default=True)
    """The collector saw it happen; else it was so when the collector looked again."""

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["uuid", "at"], name="events_of_guest"),
            models.Index(fields=["at"], name="guest_events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.kind} {self.state} on {self.host_name}"
