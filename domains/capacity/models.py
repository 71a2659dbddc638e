"""What the scheduler works out from the history, so that a page need not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone

from vmdash.access.roles import Permission, can

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


class Scope(models.TextChoices):
    """What a figure is about. Keys: empty for the fleet, the name of a site, the primary key of a host or pool."""

    FLEET = "fleet", "Fleet"
    SITE = "site", "Site"
    HOST = "host", "Host"
    POOL = "pool", "Storage pool"


class Resource(models.TextChoices):
    """Units: CPUs, bytes; shares have none."""

    CPU = "cpu", "CPU used"
    MEMORY = "memory", "Memory used"
    GIVEN = "given", "Memory given to guests"
    STORAGE = "storage", "Storage taken"
    GUEST_CPU = "guest_cpu", "CPU time of guests"
    STEAL = "steal", "CPU time lost to steal"
    LOST = "lost", "Lost to steal"
    """Of the CPU time that guests wanted, from 0 to 1."""
    OVERCOMMIT = "overcommit", "vCPUs per CPU"


SHARES = (Resource.LOST, Resource.OVERCOMMIT)
"""Parts of a whole, of which days are known as means, and which have no limit."""


class OutlookQuerySet(models.QuerySet["Outlook"]):
    def visible_to(self, user: User | AnonymousUser) -> OutlookQuerySet:
        """Those that `user` may know of. They count every guest: show them only where a person sees every guest."""
        return self if can(user, Permission.VIEW) else self.none()


class Outlook(models.Model):
    """One resource of one scope: how much was used over two weeks, each day before, and when it is full."""

    scope = models.CharField(max_length=5, choices=Scope)
    key = models.CharField(max_length=80, blank=True)
    resource = models.CharField(max_length=10, choices=Resource)
    made_at = models.DateTimeField()
    hours = models.PositiveIntegerField()
    """How many hours of the two weeks are known."""
    mean = models.FloatField(null=True)
    busy = models.FloatField(null=True)
    """95 % of the hours needed no more."""
    days = models.JSONField(default=list)
    """The busiest hour of each day that is known well enough, oldest first: `[["2026-03-01", 12.5]]`. Of shares the
    day's mean."""
    limit = models.FloatField(default=0)
    """Where it counts as full."""
    total = models.FloatField(default=0)
    full_from = models.DateField(null=True)
    full_at = models.DateField(null=True)
    full_by = models.DateField(null=True)
    """The first day on which it may be full, is most likely to be, and is almost certain to be; null: not foreseen."""
    horizon = models.DateField(null=True)
    """How far the forecast looks; null: there is none."""

    objects = OutlookQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key", "resource"], name="one_outlook_per_resource")]

    def __str__(self) -> str:
        return f"{self.resource} of {self.scope} {self.key}".strip()

    @property
    def is_full(self) -> bool:
        """Forecasts begin after the last day that is known, and that one has passed."""
        return self.full_by is not None and self.full_by < timezone.localtime(self.made_at).date()


class GuestUseQuerySet(models.QuerySet["GuestUse"]):
    def visible_to(self, user: User | AnonymousUser) -> GuestUseQuerySet:
        """Of the guests that `user` may know of."""
        from domains.models import Domain

        return self.filter(domain__in=Domain.objects.visible_to(user))


class GuestUse(models.Model):
    """What a guest needed in two weeks, of the hours in which it ran."""

    domain = models.OneToOneField("domains.Domain", on_delete=models.CASCADE, related_name="use", primary_key=True)
    made_at = models.DateTimeField()
    hours = models.PositiveIntegerField()
    cpu_mean = models.FloatField()
    cpu_busy = models.FloatField()
    """CPUs; 95 % of the hours needed no more."""
    cpu_peak = models.FloatField()
    """CPUs, over the busiest five minutes."""
    steal_mean = models.FloatField()
    steal_busy = models.FloatField()
    """CPUs' worth of time that it waited for a CPU."""
    memory_hours = models.PositiveIntegerField(default=0)
    memory_peak_bytes = models.BigIntegerField(null=True)
    """The most that was in use inside it; null where its balloon driver does not tell."""
    swap_in_bytes_per_s = models.FloatField(null=True)

    objects = GuestUseQuerySet.as_manager()

    def __str__(self) -> str:
        return f"use of {self.domain_id}"


class CapacityRecord(models.Model):
    """How far the history has been worked through. One row."""

    recorded_until = models.DateTimeField(null=True)
    worked_out_at = models.DateTimeField(null=True)
    busy_until = models.DateTimeField(null=True)
    """Somebody is at it, unless it is later than this."""
    trouble = models.CharField(max_length=300, blank=True)
    """Why it does not go on, in a sentence."""

    def __str__(self) -> str:
        return f"recorded until {self.recorded_until}"


class CapacityMail(models.Model):
    """A person who asked for the weekly summary."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="capacity_mail")
    asked_at = models.DateTimeField(auto_now_add=True)
    sent_for = models.DateField(null=True)
    """The Monday of the last week whose summary was sent."""
    trouble = models.CharField(max_length=300, blank=True)
    """Why the last one could not be sent."""

    def __str__(self) -> str:
        return f"weekly summary for {self.user}"
