"""A forecast in a sentence, for pages, files and mail."""

from __future__ import annotations

from datetime import date

from django.utils import timezone

from domains.capacity.forecast import LEAST_DAYS
from domains.capacity.models import Outlook, Resource
from vmdash import formats


def day(value: date) -> str:
    """ "7 Apr 2027"."""
    return f"{value.day} {value:%b %Y}"


def amount(resource: str, value: float) -> str:
    """CPUs or bytes, with their unit; of shares percent, or how many vCPUs there are per CPU."""
    if resource == Resource.LOST:
        return formats.percent(100 * value)
    if resource == Resource.OVERCOMMIT:
        return cpus(value)
    if resource in (Resource.CPU, Resource.GUEST_CPU, Resource.STEAL):
        return f"{cpus(value)} CPU" if value == 1 else f"{cpus(value)} CPUs"
    return formats.size(value)


def cpus(value: float) -> str:
    """12.5, 12,800."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0")


def in_short(outlook: Outlook | None) -> str:
    """For a column: "now", "7 Apr 2027", "not foreseen" or "not known yet"."""
    if outlook is None or (outlook.horizon is None and outlook.full_at is None):
        return "not known yet"
    if outlook.is_full:
        return "now"
    return day(outlook.full_at) if outlook.full_at else "not foreseen"


def certainty(outlook: Outlook | None) -> str:
    """What goes with `in_short`: how far the day may be off, or why there is none. Needs no days."""
    if outlook is None or (outlook.horizon is None and outlook.full_at is None):
        return "A forecast takes three weeks of history."
    made = f"Worked out {day(timezone.localtime(outlook.made_at).date())}."
    if outlook.is_full:
        return f"Full already, by the peak of the last day. {made}"
    if outlook.full_at:
        soonest = f"{day(outlook.full_from)} at the earliest, " if outlook.full_from else ""
        latest = f"{day(outlook.full_by)} at the latest" if outlook.full_by else "perhaps much later"
        return f"Full about {day(outlook.full_at)}: {soonest}{latest}. {made}"
    ahead = day(outlook.horizon) if outlook.horizon else ""
    if outlook.full_from:
        return f"Likely not before {ahead}, but possible from {day(outlook.full_from)} on. {made}"
    return f"Not full before {ahead}, as far as the history allows to look. {made}"


def course(outlook: Outlook) -> str:
    """How a share went, in a sentence. Needs its days, at least one."""
    values = [value for _, value in outlook.days]
    known = "1 day is known" if len(values) == 1 else f"{len(values)} days are known"
    low, high = amount(outlook.resource, min(values)), amount(outlook.resource, max(values))
    between = f"between {low} and {high}" if low != high else high
    mean = "" if outlook.mean is None else f"; over the last two weeks {amount(outlook.resource, outlook.mean)}"
    return f"{known}: {between}{mean}."


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
