"""A host whose guests were moved away, for tests."""

from __future__ import annotations

from django.utils import timezone

from domains.draining.models import Drain
from domains.models import Domain
from hosts.models import Host


def drained(host: Host, guest: Domain, to: Host) -> Drain:
    """`host` is in maintenance, and its guest was moved."""
    Host.objects.filter(pk=host.pk).update(
        maintenance="maintenance", maintenance_since=timezone.now(), maintenance_by="ada"
    )
    Domain.objects.filter(pk=guest.pk).update(host=to)
    drain: Drain = Drain.objects.create(host=host, fallback="save", begun_by_name="ada")
    drain.guests.create(
        uuid=guest.pk, name=guest.name, from_state="running", how="move_live", target=to, target_name=to.name,
        outcome="done", position=0,
    )  # fmt: skip
    return drain
