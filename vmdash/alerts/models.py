"""Alerts as vmalert tells them, what people say to them, and whom they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from vmdash.access import subjects
from vmdash.access.reach import Place, PlacedQuerySet
from vmdash.access.roles import Permission, can, can_everywhere
from vmdash.access.subjects import About, Subject
from vmdash.jobs.models import Job
from vmdash.severity import Severity

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


M = TypeVar("M", bound=models.Model)


def _about(user: User | AnonymousUser, permission: Permission) -> Q:
    """What is about a guest, or else a host, to which `user` may do this. What is about neither is for those who may
    everywhere."""
    if can_everywhere(user, permission):
        return Q()
    if not can(user, permission):
        return Q(pk__in=[])
    guests = subjects.reached(Subject.GUEST, user, permission)
    hosts = subjects.reached(Subject.HOST, user, permission)
    return Q(domain__in=guests.values("pk")) | Q(domain=None, host__in=hosts.values("name"))


def _places(*, host: str, guest: UUID | None) -> list[Place]:
    """A guest that is not there any more has none: its host may have another one's alerts."""
    return list((About(guest=guest) if guest else About(host)).places())


class AboutQuerySet(PlacedQuerySet[M]):
    """Rows that name a host, or a guest, or neither."""

    def open_to(self, user: User | AnonymousUser, permission: Permission) -> Self:
        return self.filter(_about(user, permission))


class AlertQuerySet(AboutQuerySet["Alert"]):
    def open_to(self, user: User | AnonymousUser, permission: Permission) -> Self:
        """Those about a job only where they may see the job: its label tells what somebody else does."""
        found = super().open_to(user, permission)
        if can_everywhere(user, Permission.VIEW_ALL_JOBS):
            return found
        return found.filter(Q(job=None) | Exists(Job.objects.visible_to(user).filter(pk=OuterRef("job"))))

    def firing(self) -> AlertQuerySet:
        return self.filter(resolved_at=None)

    def loud(self) -> AlertQuerySet:
        """Firing, and nobody has said that they know, nor that they do not want to."""
        return self.firing().filter(acknowledged_at=None, silence=None)


class Alert(models.Model):
    """One time that a rule held for something, from its beginning to its end."""

    Severity = Severity

    fingerprint = models.CharField(max_length=64)
    """Tells what it is about: the digest of its labels."""
    rule = models.CharField(max_length=200)
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.WARNING)
    summary = models.CharField(max_length=500)
    description = models.TextField(blank=True)
    labels = models.JSONField(default=dict)
    host = models.CharField(max_length=80, blank=True)
    """The name of the host that it is about, if any; the next ones likewise."""
    domain = models.UUIDField(null=True, blank=True)
    pool = models.CharField(max_length=255, blank=True)
    job = models.UUIDField(null=True, blank=True)
    started_at = models.DateTimeField()
    told_at = models.DateTimeField()
    """When vmalert last said that it holds."""
    expires_at = models.DateTimeField()
    """When it counts as over although nobody said so."""
    resolved_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=300, blank=True)
    """What the one who acknowledged it wrote."""
    silence = models.ForeignKey("Silence", on_delete=models.SET_NULL, null=True, blank=True, related_name="alerts")
    untold = models.BooleanField(default=False)
    """It began silenced, and nobody has been told of it since."""

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["fingerprint"], condition=Q(resolved_at=None), name="one_firing_alert"),
        ]
        indexes = [
            models.Index(fields=["host"], condition=Q(resolved_at=None), name="firing_by_host"),
            models.Index(fields=["domain"], condition=Q(resolved_at=None), name="firing_by_domain"),
            models.Index(fields=["resolved_at"], name="alerts_by_end"),
        ]

    def __str__(self) -> str:
        return self.summary

    def places(self) -> list[Place]:
        """Where grants reach it: those of its guest or host."""
        return _places(host=self.host, guest=self.domain)

    @property
    def tone(self) -> str:
        """A class of static/css/components.css."""
        return "bad" if self.severity == self.Severity.CRITICAL else "warn"


class SilenceQuerySet(AboutQuerySet["Silence"]):
    """Silences of guests and hosts."""


class Silence(models.Model):
    """Alerts that match are shown as silenced and told to nobody until it ends. Empty matchers match everything."""

    rule = models.CharField(max_length=200, blank=True)
    host = models.CharField(max_length=80, blank=True)
    domain = models.UUIDField(null=True, blank=True)
    domain_name = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=300)
    ends_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_by_name = models.CharField(max_length=150)

    objects = SilenceQuerySet.as_manager()

    class Meta:
        ordering = ["ends_at"]

    def __str__(self) -> str:
        return self.words

    def places(self) -> list[Place]:
        """Where grants reach it: those of its guest or host."""
        return _places(host=self.host, guest=self.domain)

    @property
    def words(self) -> str:
        """What it silences: "GuestLosesTime on kvm1"."""
        parts = [self.rule or "everything", f"of {self.domain_name}" if self.domain else ""]
        return " ".join([*filter(None, parts), *([f"on {self.host}"] if self.host else [])])

    @property
    def is_over(self) -> bool:
        return self.ends_at <= timezone.now()

    def matches(self, alert: Alert) -> bool:
        return (
            self.rule in ("", alert.rule)
            and self.host in ("", alert.host)
            and (self.domain is None or self.domain == alert.domain)
        )


class Receiver(models.Model):
    """Whom alerts are told to by mail. Webhooks are people's own (`vmdash.webhooks`)."""

    name = models.CharField(max_length=80, unique=True)
    address = models.CharField(max_length=500)
    least = models.CharField(max_length=10, choices=Alert.Severity, default=Alert.Severity.WARNING)
    """Alerts of a lesser severity are not told."""
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Notification(models.Model):
    """That an alert began or ended, on its way to one receiver. Nothing is lost: it is tried again until it is given
    up, and then says why."""

    class Event(models.TextChoices):
        FIRING = "firing", "began"
        RESOLVED = "resolved", "ended"

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="notifications")
    receiver = models.ForeignKey(Receiver, on_delete=models.CASCADE, related_name="notifications")
    event = models.CharField(max_length=10, choices=Event)
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["due_at", "id"]
        constraints = [models.UniqueConstraint(fields=["alert", "receiver", "event"], name="one_notification_each")]
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None, given_up_at=None), name="to_be_sent")]

    def __str__(self) -> str:
        return f"{self.alert} {self.event} to {self.receiver}"
