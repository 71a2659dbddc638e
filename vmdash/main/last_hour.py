"""What happened in the last hour: jobs that people asked for, and states that changed by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils import timezone

from domains.models import Domain
from domains.rows import reason_words
from hosts.models import Host
from vmdash.jobs.models import Job
from vmdash.jobs.timeline import SAME_THING
from vmdash.jobs.told import as_told

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

MOST = 15
PERIOD = timedelta(hours=1)

_TONES = {Job.State.FAILED: "bad", Job.State.LOST: "warn", Job.State.RECONCILED: "warn", Job.State.CANCELLED: "off"}


@dataclass(frozen=True, slots=True)
class Happening:
    at: datetime
    text: str
    tone: str
    """A class of static/css/components.css, or empty."""
    url: str


def last_hour(user: User | AnonymousUser, hosts: Iterable[Host]) -> list[Happening]:
    """The newest first, at most `MOST`. Three queries at most."""
    since = timezone.now() - PERIOD
    jobs = as_told(Job.objects.visible_to(user).filter(created_at__gt=since)[: 2 * MOST], user)
    changed = Domain.objects.visible_to(user).filter(state_since__gt=since, state_since_known=True)
    guests = changed.only("name", "state", "state_reason", "state_since").order_by("-state_since")[: 2 * MOST]
    found = [*_jobs(jobs), *_guests(guests, jobs), *_hosts(hosts, since)]
    return sorted(found, key=lambda happening: happening.at, reverse=True)[:MOST]


def _jobs(jobs: Sequence[Job]) -> Iterator[Happening]:
    for job in jobs:
        who = f"{job.requested_by_name}: " if job.requested_by_name else ""
        outcome = "" if job.state == Job.State.SUCCEEDED else f" ({job.get_state_display()})"
        text = f"{who}{job.label}{outcome}"
        tone = _TONES.get(Job.State(job.state), "")
        yield Happening(job.finished_at or job.created_at, text, tone, reverse("job", args=[job.pk]))


def _guests(guests: Iterable[Domain], jobs: Sequence[Job]) -> Iterator[Happening]:
    asked_for = {
        (job.target_id, job.created_at, (job.finished_at or timezone.now()) + SAME_THING)
        for job in jobs
        if job.target_id
    }
    for guest in guests:
        if any(uuid == str(guest.pk) and begin <= guest.state_since <= end for uuid, begin, end in asked_for):
            continue
        why = f" ({words})" if (words := reason_words(guest)) else ""
        tone = "bad" if guest.state == "crashed" else ""
        text = f"{guest.name} is {guest.get_state_display()}{why}"
        yield Happening(guest.state_since, text, tone, reverse("guest", args=[guest.pk]))


def _hosts(hosts: Iterable[Host], since: datetime) -> Iterator[Happening]:
    for host in hosts:
        if host.enabled and host.state_since > since and host.state != Host.State.NEW:
            is_up = host.state == Host.State.UP
            text = f"{host.name} is connected" if is_up else f"{host.name} {host.get_state_display()}"
            yield Happening(host.state_since, text, "" if is_up else "bad", reverse("host", args=[host.name]))
