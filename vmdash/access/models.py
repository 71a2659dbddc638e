"""People and the audit trail."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AbstractUser, Group
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from vmdash.access import subjects
from vmdash.access.reach import Reach, Scope, reach_of
from vmdash.access.subjects import Subject
from vmdash.access.table import Permission, Role

DIRECTORY = "ldap"
"""Marks the accounts that came from the company's directory (`SocialAccount.provider`)."""

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


class User(AbstractUser):
    """A person who signs in. Without a role or a grant they see nothing."""

    role = models.CharField(max_length=20, choices=Role, blank=True, default="")
    """What they may do everywhere, for as long as they are there; grants add to it."""
    token = ""
    """The name of the one by which they came now, if by one; for the audit trail. Not a column."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=["", *Role.values]), name="user_role_known"),
        ]

    def clean(self) -> None:
        """A new name is not another's in other letters: signing in takes them for one."""
        super().clean()
        if self._state.adding:
            other = User.objects.filter(username__iexact=self.username).first()
            if other is not None:
                raise ValidationError(
                    {"username": f"The name {other.username} is taken; capital letters make no difference."}
                )

    @cached_property
    def _keeper(self) -> str:
        account = next(iter(self.socialaccount_set.all()), None)  # type: ignore[attr-defined]  # allauth makes it
        return account.provider if account else ""

    @property
    def kept_by(self) -> str:
        """Who has their password and says whether they are there, in words; empty: vmdash itself."""
        if self._keeper == DIRECTORY:
            return "the company's directory"
        return f"the company's provider ({settings.OIDC_NAME})" if self._keeper else ""

    @property
    def groups_kept_by(self) -> str:
        """Who says at every sign-in in what groups they are, in words; empty: vmdash itself."""
        return "" if self._keeper == DIRECTORY and not settings.LDAP_GROUPS else self.kept_by

    @cached_property
    def reach(self) -> Reach:
        """What they may do now, and where. Read once for each time that the person is: what goes on for long reads the
        person again (`vmdash.access.sessions`)."""
        return self.reach_with(Grant.objects.of(self))

    def reach_with(self, grants: Iterable[Grant]) -> Reach:
        """The same, when all that they were granted was read before."""
        granted = [(Role(grant.role), Scope(grant.scope), grant.scope_id) for grant in grants]
        if self.role:
            granted.append((Role(self.role), Scope.EVERYTHING, ""))
        return Reach(granted)


class GrantQuerySet(models.QuerySet["Grant"]):
    def visible_to(self, user: User | AnonymousUser) -> GrantQuerySet:
        """Those on what is in the places where `user` manages people. Up to four queries."""
        reach = reach_of(user)
        if Permission.MANAGE_PEOPLE in reach.everywhere:
            return self
        permitted = models.Q(pk__in=[])
        for subject in Subject if reach.anywhere(Permission.MANAGE_PEOPLE) else ():
            named = self.order_by().filter(scope=subject.value).values_list("scope_id", flat=True)
            found = subjects.reached(subject, user, Permission.MANAGE_PEOPLE).filter(pk__in=set(named))
            ids = [str(pk) for pk in found.values_list("pk", flat=True)]
            permitted |= models.Q(scope=subject.value, scope_id__in=ids)
        return self.filter(permitted)

    def current(self) -> GrantQuerySet:
        """Those that have not ended."""
        return self.filter(models.Q(until=None) | models.Q(until__gt=timezone.now()))

    def of(self, user: User) -> GrantQuerySet:
        """What counts for a person now: their own, and those of their groups."""
        groups = Group.objects.filter(user=user)
        return self.current().filter(models.Q(person=user) | models.Q(group__in=groups))

    def by_person(self, users: Collection[User]) -> dict[int, list[Grant]]:
        """The same for many people by their ids, in two queries."""
        members: dict[int, list[int]] = {}
        for user_id, group_id in User.groups.through.objects.filter(user__in=users).values_list("user_id", "group_id"):
            members.setdefault(group_id, []).append(user_id)
        ids = [user.pk for user in users]
        found: dict[int, list[Grant]] = {user_id: [] for user_id in ids}
        for grant in self.current().filter(models.Q(person__in=ids) | models.Q(group__in=members)):
            for user_id in [grant.person_id] if grant.person_id else members[grant.group_id or 0]:
                found[user_id].append(grant)
        return found


class Grant(models.Model):
    """A role on a scope, for a person or a group."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="grants"
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True, related_name="grants")
    role = models.CharField(max_length=20, choices=Role)
    scope = models.CharField(max_length=12, choices=Scope)
    scope_id = models.CharField(max_length=36, blank=True)
    """The site's, host's or tag's number, or the guest's UUID; empty for everything."""
    scope_name = models.CharField(max_length=255, blank=True)
    """Its name when it was granted, for lists and for when it is gone."""
    until = models.DateTimeField(null=True, blank=True)
    """When it ends by itself."""
    made_at = models.DateTimeField(auto_now_add=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    objects = GrantQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="grant_role_known"),
            models.CheckConstraint(condition=models.Q(scope__in=Scope.values), name="grant_scope_known"),
            models.CheckConstraint(
                condition=models.Q(person=None, group__isnull=False) | models.Q(person__isnull=False, group=None),
                name="grant_to_a_person_or_a_group",
            ),
            models.CheckConstraint(
                condition=models.Q(scope=Scope.EVERYTHING, scope_id="")
                | (~models.Q(scope=Scope.EVERYTHING) & ~models.Q(scope_id="")),
                name="grant_says_on_what",
            ),
            *(
                models.UniqueConstraint(
                    fields=[to, "role", "scope", "scope_id"],
                    condition=models.Q(**{f"{to}__isnull": False}),
                    name=f"grant_once_to_a_{to}",
                )
                for to in ("person", "group")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} on {self.on}"

    @property
    def on(self) -> str:
        """In words: "everything", "host kvm1"."""
        if self.scope == Scope.EVERYTHING:
            return self.get_scope_display()
        return f"{self.get_scope_display()} {self.scope_name or self.scope_id}"

    @property
    def until_words(self) -> str:
        return f" until {timezone.localtime(self.until):%-d %b %Y, %H:%M %Z}" if self.until else ""

    @property
    def is_current(self) -> bool:
        return self.until is None or self.until > timezone.now()

    @property
    def holder_name(self) -> str:
        return str(self.group.name if self.group else self.person.username if self.person else "")


class AuditEntry(models.Model):
    """One thing somebody did or tried. Rows are only ever added (`vmdash.access.audit.record`), and chained right
    afterwards (`vmdash.access.trail.chain`)."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    user_name = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45, blank=True)
    """The IP address from which it was asked for; empty for what nobody asked for over the network."""
    action = models.CharField(max_length=60)
    """What was done, as `noun.verb`: `console.open`, `host.add`, `sign_in.refused`."""
    target_kind = models.CharField(max_length=20, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_name = models.CharField(max_length=255, blank=True)
    refused = models.BooleanField(default=False)
    failed = models.BooleanField(default=False)
    detail = models.CharField(max_length=500, blank=True)

    number = models.BigIntegerField(null=True, unique=True, editable=False)
    """Its place in the chain, from 1 on without gaps; none until it is chained."""
    previous_hash = models.CharField(max_length=64, blank=True, editable=False)
    hash = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.user_name} {self.action} {self.target_name}"

    @property
    def result(self) -> str:
        """`refused`, `failed` or `done`."""
        return "refused" if self.refused else "failed" if self.failed else "done"


class AuditHead(models.Model):
    """Where the chain of the audit trail begins and ends: one row, apart from the entries, so that a cut-off end is
    noticed. Whoever adds to the chain locks it."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    count = models.BigIntegerField(default=0)
    """The number of the last entry, and `hash` its hash."""
    hash = models.CharField(max_length=64, blank=True)
    anchor_number = models.BigIntegerField(default=0)
    """The number of the last entry that was removed because of its age, and `anchor_hash` its hash."""
    anchor_hash = models.CharField(max_length=64, blank=True)
    sent_number = models.BigIntegerField(default=0)
    """The number of the last entry that was sent to syslog."""

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_head_is_one")]

    def __str__(self) -> str:
        return f"{self.count} entries"
