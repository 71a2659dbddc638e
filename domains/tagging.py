"""Tags: the one thing about a guest that people write and not libvirt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import transaction

from domains.models import Domain
from domains.rows import guest_row
from hosts.models import Tag
from vmdash.access.audit import record
from vmdash.access.models import User
from vmdash.live import groups
from vmdash.live.publish import publish_now


def set_tags(*, domain: Domain, names: Sequence[str], user: User) -> None:
    """Give the guest exactly these tags, made as needed; the caller has checked the permission and the names."""
    with transaction.atomic():
        Tag.objects.bulk_create([Tag(name=name) for name in names], ignore_conflicts=True)
        domain.tags.set(Tag.objects.filter(name__in=names))
        record(
            user=user,
            action="domain.tags",
            target_kind="domain",
            target_id=domain.pk,
            target_name=domain.name,
            detail=" ".join(names) or "none",
        )
        transaction.on_commit(partial(_announce, domain.pk), robust=True)


def _announce(pk: UUID) -> None:
    """`robust`: a page that learns of it late is no reason to fail."""
    domain = Domain.objects.select_related("host").get(pk=pk)
    publish_now([groups.FLEET, groups.host(domain.host_id)], {"type": "guest", "row": guest_row(domain)})
