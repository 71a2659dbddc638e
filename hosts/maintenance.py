"""Taking a host out of use: what it means for others, and how its row changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from hosts.announce import tell_pages
from hosts.models import Host

Maintenance = Host.Maintenance


def maintenance_obstacle(host: Host) -> str:
    """Why no guest may start or arrive there, in sentences; empty when it may."""
    if not host.is_closed:
        return ""
    if host.maintenance == Maintenance.DRAINING:
        return f"{host.name} is being drained."
    return f"{host.name} is in maintenance. End that on its page first."


def change(host: Host, before: Sequence[Maintenance], after: Maintenance, *, by: str = "") -> bool:
    """A conditional UPDATE: whether the host was in one of the states `before` and is in `after` now."""
    found = Host.objects.filter(pk=host.pk, maintenance__in=before)
    if after == Maintenance.NONE:
        changed = found.update(maintenance=after, maintenance_since=None, maintenance_by="")
    else:
        since = Coalesce(F("maintenance_since"), Value(timezone.now()))
        who = {"maintenance_by": by} if by else {}
        changed = found.update(maintenance=after, maintenance_since=since, **who)
    if changed:
        host.refresh_from_db(fields=["maintenance", "maintenance_since", "maintenance_by"])
        transaction.on_commit(partial(tell_pages, host.pk))
    return bool(changed)
