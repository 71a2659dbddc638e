"""Who may do what: the one table. The documentation and the page of a person print it from here."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    """A person's role, from least to most. Each includes those before it."""

    VIEWER = "viewer", "Viewer"
    HELP_DESK = "help_desk", "Help desk"
    OPERATOR = "operator", "Operator"
    ADMINISTRATOR = "administrator", "Administrator"


class Permission(TextChoices):
    """What can be done. The label completes "You may not …"."""

    VIEW = "view", "see hosts and guests"
    POWER = "power", "start, shut down and restart guests"
    CONSOLE = "console", "open a guest's console or see its screen"
    FORCE = "force", "force off or reset guests"
    OPERATE = "operate", "suspend, resume, save or configure guests"
    MIGRATE = "migrate", "move guests between hosts"
    CLONE = "clone", "copy guests or make templates of them"
    DEFINE = "define", "make new guests"
    SNAPSHOT = "snapshot", "take, revert or delete snapshots"
    STORAGE = "storage", "change storage pools and volumes"
    DRAIN = "drain", "drain hosts"
    ALERTS = "alerts", "acknowledge or silence alerts"
    VIEW_ALL_JOBS = "view_all_jobs", "see other people's jobs"
    MANAGE_HOSTS = "manage_hosts", "add, change or remove hosts"
    MANAGE_ALERTS = "manage_alerts", "choose whom alerts are told to"
    MANAGE_PEOPLE = "manage_people", "manage people"
    AUDIT = "audit", "read the audit trail"
    WEBHOOKS = "webhooks", "have webhooks told of what happens"


_ADDED: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.HELP_DESK: frozenset({Permission.POWER, Permission.CONSOLE}),
    Role.OPERATOR: frozenset(
        {
            Permission.FORCE,
            Permission.OPERATE,
            Permission.MIGRATE,
            Permission.CLONE,
            Permission.DEFINE,
            Permission.SNAPSHOT,
            Permission.STORAGE,
            Permission.DRAIN,
            Permission.ALERTS,
            Permission.WEBHOOKS,
            Permission.VIEW_ALL_JOBS,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {Permission.MANAGE_HOSTS, Permission.MANAGE_ALERTS, Permission.MANAGE_PEOPLE, Permission.AUDIT}
    ),
}

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {}
_held: frozenset[Permission] = frozenset()
for _role in Role:
    _held |= _ADDED[_role]
    ROLE_PERMISSIONS[_role] = _held


def granted_from(role: Role) -> Permission:
    """A permission that this role and those above it have, and none below."""
    return min(_ADDED[role])
