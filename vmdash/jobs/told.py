"""Jobs as a person is told of them: without the hosts that they are not told the names of (`vmdash.access.naming`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING

from vmdash.access.naming import hosts_told, unnamed, without_place
from vmdash.jobs.models import Job, JobLine

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

NOT_SHOWN = "not shown: it names a host that you may not see"
_RELATED = ("parent", "retry_of")


def as_told(jobs: Iterable[Job], user: User | AnonymousUser) -> list[Job]:
    """The same jobs in the same order. Where one names a host that `user` is not told of, a copy without it, which is
    not to be saved; so are the jobs that it is a part or repetition of, as far as they were read along. One query at
    most, whatever their number."""
    found = list(jobs)
    every = [*found, *(related for job in found for _, related in _related(job))]
    names = {name for job in every for name in job.named_hosts}
    hidden = names - hosts_told(user, names)
    return [_told(job, hidden) for job in found] if hidden else found


def job_as_told(job: Job, user: User | AnonymousUser) -> Job:
    [told] = as_told([job], user)
    return told


def lines_as_told(job: Job, lines: Iterable[JobLine], user: User | AnonymousUser) -> list[JobLine]:
    """Lines of its log, not to be saved."""
    hidden = job.named_hosts - hosts_told(user, job.named_hosts)
    found = list(lines)
    for line in found:
        line.text = unnamed(line.text, hidden)
    return found


def _told(job: Job, names: Collection[str]) -> Job:
    related = [(name, other, _told(other, names)) for name, other in _related(job)]
    hidden = job.named_hosts & set(names)
    if not hidden and all(told is other for _, other, told in related):
        return job
    job = copy(job)
    for name, _, told in related:
        setattr(job, name, told)
    if not hidden:
        return job
    job.label = without_place(job.label, hidden)
    for field in ("phase", "waiting_for", "error"):
        setattr(job, field, unnamed(getattr(job, field), hidden))
    # What libvirt says, and the command, have addresses.
    job.error_detail = job.error_detail and NOT_SHOWN
    job.virsh = job.virsh and NOT_SHOWN
    if job.host_name in hidden:
        job.host_name = ""
    return job


def _related(job: Job) -> Iterator[tuple[str, Job]]:
    for name in _RELATED:
        if other := job._state.fields_cache.get(name):
            yield name, other
