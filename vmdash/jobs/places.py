"""Limits: what may happen only so often at once has so many places, and each job takes one of them while it lasts.

A place is a row with a unique name, so two workers can never take the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from vmdash.jobs.models import Job, JobPlace


@dataclass(frozen=True, slots=True)
class Need:
    """That a job occupies one of the `places` of `resource` while it lasts."""

    resource: str
    """Such as `migration-out:kvm1`."""
    places: int
    words: str
    """Why it has to wait when all are taken, in a sentence: "kvm1 sends two guests already." """


def take(job: Job, needs: Sequence[Need]) -> str:
    """Occupy a place for each need, or none at all. Returns why not, in words; empty when the job has them."""
    try:
        with transaction.atomic():
            for need in needs:
                names = [f"{need.resource} {number}" for number in range(1, need.places + 1)]
                taken = set(JobPlace.objects.filter(name__in=names).values_list("name", flat=True))
                free = next((name for name in names if name not in taken), None)
                if free is None:
                    raise _AllTaken(need.words)
                JobPlace.objects.create(name=free, job=job)
    except _AllTaken as reason:
        return str(reason)
    except IntegrityError:  # another worker took it in this very moment
        return "Another job was quicker by a moment."
    return ""


def release(job: Job) -> bool:
    """Give up the places of a job that has ended. Returns whether it had any."""
    count, _ = JobPlace.objects.filter(job=job).delete()
    return count > 0


class _AllTaken(Exception):
    pass
