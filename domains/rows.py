"""Guests as rows: what tables, headers and live messages say about one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db.models import prefetch_related_objects

from domains.actions import current_jobs
from domains.models import Domain, DomainState
from vmdash.formats import milliseconds
from vmdash.live.messages import GuestRow
from vmdash.virt.states import GuestState, reasons

_TELLING = {DomainState.RUNNING: {"crashed", "postcopy", "postcopy_failed"}, DomainState.IN_SHUTDOWN: set[str]()}
"""States that speak for themselves, and their few reasons that add something: how it came to run does not."""

ROW_FIELDS = (
    "uuid", "name", "title", "state", "state_reason", "state_since", "state_since_known", "vcpus", "memory_kib",
    "addresses", "numa_cells", "autostart", "agent", "split_brain", "is_template",
    "host__name", "host__enabled", "host__state", "host__state_reason", "host__state_since", "host__last_seen_at",
)  # fmt: skip
"""The columns that a row needs, for `QuerySet.only`."""


def reason_in_full(domain: Domain) -> str:
    """Why the guest is in its state, in words; empty when the hypervisor does not say."""
    return reasons(GuestState(domain.state)).get(domain.state_reason, "")


def reason_words(domain: Domain) -> str:
    """The same where there is little room; empty when it adds nothing."""
    state = DomainState(domain.state)
    if state in _TELLING and domain.state_reason not in _TELLING[state]:
        return ""
    return reason_in_full(domain)


def guest_row(domain: Domain) -> GuestRow:
    """One guest. Three queries at most; for several use `guest_rows`."""
    return guest_rows([domain])[0]


def guest_rows(domains: Iterable[Domain]) -> list[GuestRow]:
    """Rows in the same order. Two queries, and one for the hosts unless they were selected along."""
    guests = list(domains)
    prefetch_related_objects(guests, "host")
    jobs, tags = current_jobs(guest.pk for guest in guests), _tags(guests)
    return [_row(guest, jobs.get(str(guest.pk), ""), tags.get(guest.pk, [])) for guest in guests]


def _tags(guests: Iterable[Domain]) -> dict[UUID, list[str]]:
    """Names by guest. A third of what prefetching the objects would cost, and a page shows many."""
    given = Domain.tags.through.objects.filter(domain__in=[guest.pk for guest in guests])
    names: dict[UUID, list[str]] = defaultdict(list)
    for guest, name in given.order_by("tag__name").values_list("domain_id", "tag__name"):
        names[guest].append(name)
    return names


def numa_mark(cells: list[int]) -> str:
    """[0] → "cell 0", [0, 1] → "2 cells", [] → ""."""
    if not cells:
        return ""
    return f"cell {cells[0]}" if len(cells) == 1 else f"{len(cells)} cells"


def _row(guest: Domain, job: str, tags: list[str]) -> GuestRow:
    host = guest.host
    return {
        "uuid": str(guest.uuid),
        "name": guest.name,
        "title": guest.title,
        "host": host.pk,
        "host_name": host.name,
        "state": guest.state,
        "state_label": str(DomainState(guest.state).label),
        "reason": reason_words(guest),
        "reason_in_full": reason_in_full(guest),
        "since": milliseconds(guest.state_since),
        "since_known": guest.state_since_known,
        "observed_at": milliseconds(max(guest.state_since, host.last_seen_at or guest.state_since)),
        "vcpus": guest.vcpus,
        "memory_kib": guest.memory_kib,
        "addresses": guest.addresses,
        "numa": numa_mark(guest.numa_cells),
        "tags": tags,
        "autostart": guest.autostart,
        "agent": guest.agent,
        "split_brain": guest.split_brain,
        "template": guest.is_template,
        "job": job,
    }
