"""The maintenance of a host in templates of other apps: `{% load draining %}`.

{% maintenance_of host as maintenance %}     what was done with its guests, or None
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import template

from domains.draining.models import Drain, DrainedGuest
from domains.draining.record import open_drain
from domains.draining.services import job_of
from vmdash.jobs.models import Job

if TYPE_CHECKING:
    from hosts.models import Host

register = template.Library()


@dataclass(frozen=True, slots=True)
class Line:
    """One guest of the record: what was done with it and, where a return has begun, what came of that."""

    away: DrainedGuest
    back: DrainedGuest | None


@dataclass(frozen=True, slots=True)
class Maintenance:
    drain: Drain
    lines: Sequence[Line]
    job: Job | None
    """The drain or return that is under way."""


@register.simple_tag(takes_context=True)
def maintenance_of(context: dict[str, Any], host: Host) -> Maintenance | None:
    """Three queries. Who may not see jobs of others gets no link to the job."""
    user = context["request"].user
    drain = open_drain(host, user)
    if drain is None:
        return None
    steps = list(drain.guests.all())
    back: dict[UUID, DrainedGuest] = {step.uuid: step for step in steps if step.returning}
    lines = [Line(step, back.get(step.uuid)) for step in steps if not step.returning]
    job = job_of(host)
    return Maintenance(drain, lines, job if job and Job.objects.visible_to(user).filter(pk=job.pk).exists() else None)
