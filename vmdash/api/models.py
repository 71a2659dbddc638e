"""Tokens of people, and answers that are kept for when something is asked twice."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from vmdash.access.roles import Permission

_LOOKS = frozenset({Permission.VIEW, Permission.VIEW_ALL_JOBS})
_MANAGES = frozenset({Permission.MANAGE_HOSTS, Permission.MANAGE_ALERTS, Permission.MANAGE_PEOPLE, Permission.AUDIT})


class TokenScope(models.TextChoices):
    """How much of what a person may do a token of theirs may do; never more than the person."""

    READ = "read", "Read: see what you see"
    ACT = "act", "Act: see, and do what you may do to guests, storage and alerts"
    EVERYTHING = "everything", "Everything that you may, also managing hosts and people"

    @property
    def permissions(self) -> frozenset[Permission]:
        match self:
            case TokenScope.READ:
                return _LOOKS
            case TokenScope.ACT:
                return frozenset(Permission) - _MANAGES
        return frozenset(Permission)


class TokenQuerySet(models.QuerySet["Token"]):
    def current(self) -> TokenQuerySet:
        """Those that have not ended, of people who are still there."""
        return self.filter(models.Q(until=None) | models.Q(until__gt=timezone.now()), user__is_active=True)


class Token(models.Model):
    """What a script of a person shows. It is shown once, when it is made; here is only its hash."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    """As `vmdash.access.bearers.digest_of` has it."""
    beginning = models.CharField(max_length=12)
    """Its first letters, to find out which one it is."""
    scope = models.CharField(max_length=10, choices=TokenScope)
    made_at = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField(null=True, blank=True)
    """When it ends by itself."""
    last_used_at = models.DateTimeField(null=True, blank=True)
    """To the minute."""
    last_used_from = models.CharField(max_length=45, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ["-made_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(scope__in=TokenScope.values), name="token_scope_known"),
            models.UniqueConstraint(fields=["user", "name"], name="one_token_per_name_and_person"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_ended(self) -> bool:
        return self.until is not None and self.until <= timezone.now()


class KeptAnswer(models.Model):
    """What was answered to a request with a header `Idempotency-Key`, so that asking again makes nothing again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100)
    request = models.CharField(max_length=64)
    """The digest of what was asked for."""
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.TextField(default="")
    """JSON, as it was sent."""
    made_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_key_and_person")]

    def __str__(self) -> str:
        return self.key
