"""People and the audit trail."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models

from vmdash.access.roles import Role


class User(AbstractUser):
    """A person who signs in. Without a role they see nothing."""

    role = models.CharField(max_length=20, choices=Role, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=["", *Role.values]), name="user_role_known"),
        ]


class AuditEntry(models.Model):
    """One thing somebody did or tried. Rows are only ever added (`vmdash.access.audit.record`)."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    user_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=60)
    """What was done, as `noun.verb`: `console.open`, `host.add`, `sign_in.refused`."""
    target_kind = models.CharField(max_length=20, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    refused = models.BooleanField(default=False)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.user_name} {self.action} {self.target_name}"
