"""Parts of a whole, hour by hour and day by day: what of the CPU time was lost, how many vCPUs there are per CPU."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.utils import timezone

from domains.capacity.forecast import Day
from vmdash.metrics.hourly import HOUR_S


@dataclass(frozen=True, slots=True)
class Share:
    """`value` is None where nothing is known, or the whole is nothing."""

    hours: int
    value: float | None


def by_day(grid: Sequence[int]) -> dict[date, list[int]]:
    """Where the hours of each day are in a grid of their ends (Unix seconds): in local time, the oldest day first,
    without the day that goes on."""
    days: dict[date, list[int]] = defaultdict(list)
    zone = timezone.get_default_timezone()
    for at, end_s in enumerate(grid):
        days[datetime.fromtimestamp(end_s - HOUR_S, zone).date()].append(at)
    current = datetime.fromtimestamp(grid[-1], zone).date()
    return {day: places for day, places in sorted(days.items()) if day < current}


def mean_share(part: Sequence[float], whole: Sequence[float]) -> Share:
    """Of the hours in which both are known; an hour counts as much as there was of the whole."""
    known = [(some, total) for some, total in zip(part, whole, strict=True) if some == some and total == total]
    wanted = math.fsum(total for _, total in known)
    return Share(len(known), math.fsum(some for some, _ in known) / wanted if wanted > 0 else None)


def share_of_days(
    part: Sequence[float], whole: Sequence[float], days: Mapping[date, Sequence[int]], least: int
) -> list[Day]:
    """Of each day of which `least` hours are known. `days` is as `by_day` gives it."""
    if not part:
        return []
    found = {day: mean_share([part[at] for at in places], [whole[at] for at in places]) for day, places in days.items()}
    return [(day, one.value) for day, one in found.items() if one.value is not None and one.hours >= least]
