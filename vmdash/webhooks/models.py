"""Addresses that are told what happens, what is to be told, and what came of telling it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from vmdash.access.encryption import EncryptedTextField
from vmdash.access.reach import Scope
from vmdash.access.roles import Permission, can_everywhere
from vmdash.access.subjects import About
from vmdash.severity import Severity
from vmdash.uuids import uuid_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


class Topic(models.TextChoices):
    """What a webhook can be told of."""

    GUEST_STATE = "guest.state", "Guests change their state"
    GUEST_MOVED = "guest.moved", "Guests move to another host"
    GUEST_SEEN = "guest.seen", "Guests appear"
    GUEST_GONE = "guest.gone", "Guests are defined nowhere any more"
    HOST_STATE = "host.state", "Hosts answer, or do not any more"
    POOL_STATE = "pool.state", "Storage pools change their state"
    POOL_GONE = "pool.gone", "Storage pools are gone"
    JOB_FINISHED = "job.finished", "Jobs end"
    ALERT = "alert", "Alerts begin and end"


class Kind(models.TextChoices):
    """What an event is: the `type` of the message."""

    GUEST_STATE = "guest.state"
    GUEST_MOVED = "guest.moved"
    GUEST_SEEN = "guest.seen"
    GUEST_GONE = "guest.gone"
    HOST_STATE = "host.state"
    POOL_STATE = "pool.state"
    POOL_GONE = "pool.gone"
    JOB_FINISHED = "job.finished"
    ALERT_FIRING = "alert.firing"
    ALERT_RESOLVED = "alert.resolved"
    TEST = "test"

    @property
    def topic(self) -> str:
        return Topic.ALERT if self in (Kind.ALERT_FIRING, Kind.ALERT_RESOLVED) else self.value


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """One's own; all of them for those who choose whom alerts are told to."""
        return self if can_everywhere(user, Permission.MANAGE_ALERTS) else self.owned_by(user)

    def owned_by(self, user: User | AnonymousUser) -> Self:
        return self.filter(owner_id=user.pk or 0)


class Webhook(models.Model):
    """A URL that is told of what its owner may see.

    on ──► off, by a person, or by vmdash after long failure (`off_reason` says why) ──► on
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks")
    name = models.CharField(max_length=80)
    url = models.CharField("URL", max_length=500)
    secret = EncryptedTextField()
    """`whsec_` and the key of the signatures in base64; shown once."""
    topics = models.JSONField(default=list)
    """`Topic` values."""
    least = models.CharField(max_length=10, choices=Severity, default=Severity.WARNING)
    """Alerts of a lesser severity are not told."""
    scope = models.CharField(max_length=12, choices=Scope, default=Scope.EVERYTHING)
    scope_id = models.CharField(max_length=36, blank=True)
    """As in `vmdash.access.models.Grant`; everything is everything that the owner may see."""
    scope_name = models.CharField(max_length=255, blank=True)
    enabled = models.BooleanField(default=True)
    off_reason = models.CharField(max_length=400, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    """Nothing has arrived since then."""
    taken_until = models.DateTimeField(null=True, blank=True)
    """A worker sends what is due, and has it until then (`vmdash.webhooks.sending`)."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="webhook_once_by_name"),
            models.CheckConstraint(condition=Q(scope__in=Scope.values), name="webhook_scope_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def topics_in_words(self) -> list[str]:
        return [topic.label for topic in Topic if topic.value in self.topics]


class Event(models.Model):
    """Something that happened and that some webhook wants to be told of. Written in the transaction in which it
    happened, then handed to the webhooks it is for (`vmdash.webhooks.handing`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=20, choices=Kind)
    at = models.DateTimeField()
    host = models.CharField(max_length=80, blank=True)
    """The name of the host that it is about, if any; rights to it follow from the guest or else from this."""
    guest = models.UUIDField(null=True, blank=True)
    person = models.BigIntegerField(null=True, blank=True)
    """The id of who asked for the job that it tells of."""
    severity = models.CharField(max_length=10, blank=True)
    alert = models.BigIntegerField(null=True, blank=True)
    """The id of the alert that began or ended."""
    data = models.JSONField(default=dict)
    handed = models.BooleanField(default=False)

    class Meta:
        ordering = ["at", "id"]
        indexes = [
            models.Index(fields=["at"], condition=Q(handed=False), name="events_to_be_handed"),
            models.Index(fields=["at"], name="webhook_events_by_time"),
            models.Index(fields=["alert"], condition=Q(alert__isnull=False), name="events_of_alerts"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def about(self) -> About:
        return About(self.host, self.guest)

    @property
    def tells_of_a_job(self) -> bool:
        """That it ended, or an alert about it."""
        return self.kind == Kind.JOB_FINISHED or uuid_of(self.data.get("labels", {}).get("job_id", "")) is not None


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def waiting(self) -> Self:
        return self.filter(sent_at=None, given_up_at=None)


class Delivery(models.Model):
    """An event on its way to one webhook: tried again until it arrived or is given up."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    tried_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    """What the other side answered last: an HTTP status."""
    took_ms = models.PositiveIntegerField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="one_delivery_each")]
        indexes = [
            models.Index(
                fields=["webhook", "due_at"], condition=Q(sent_at=None, given_up_at=None), name="deliveries_to_be_sent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"
