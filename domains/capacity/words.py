"""A forecast in a sentence, for pages, files and mail."""

from __future__ import annotations

from datetime import date

from domains.capacity.forecast import LEAST_DAYS
from domains.capacity.models import Outlook, Resource
from vmdash import formats


def day(value: date) -> str:
    """ "7 Apr 2027"."""
    return f"{value.day} {value:%b %Y}"


def amount(resource: str, value: float) -> str:
    """CPUs or bytes, with their unit."""
    if resource in (Resource.CPU, Resource.GUEST_CPU, Resource.STEAL):
        return f"{cpus(value)} CPU" if value == 1 else f"{cpus(value)} CPUs"
    return formats.size(value)


def cpus(value: float) -> str:
    """12.5, 12,800."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0")


def foresight(outlook: Outlook) -> str:
    """When it is full and how certain that is; or why nobody can tell. Needs its days."""
    known = len(outlook.days)
    if not outlook.total:
        return "No forecast: its size is not known."
    if known and outlook.days[-1][1] >= outlook.limit:
        return f"Full already: {amount(outlook.resource, outlook.days[-1][1])} at the peak of the last day."
    if outlook.horizon is None:
        are = "is" if known == 1 else "are"
        return f"No forecast: it takes {LEAST_DAYS} days, each weekday at least twice, and {known} {are} known."
    back = f"{known} days of history"
    if outlook.full_from is None:
        return f"Not full before {day(outlook.horizon)}, as far as {back} allow to look."
    if outlook.full_at is None:
        return f"Likely not before {day(outlook.horizon)}, but possible from {day(outlook.full_from)} on ({back})."
    if outlook.full_by is None:
        return (
            f"Full about {day(outlook.full_at)}, {day(outlook.full_from)} at the earliest; "
            f"it may also be long after that ({back})."
        )
    return (
        f"Full about {day(outlook.full_at)}; in nine cases of ten between {day(outlook.full_from)} "
        f"and {day(outlook.full_by)} ({back})."
    )
