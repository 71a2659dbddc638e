"""Which of a schedule's snapshots of one guest stay.

A snapshot stays when one of the rules keeps it. `last` keeps the newest ones; `daily` keeps the newest of each of the
last so many days that have one, and likewise the others. So nothing goes because of its age alone: when no new ones are
taken, the old ones stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domains.snapshots.models import SnapshotSchedule
from domains.snapshots.schedules.times import Rhythm, local


@dataclass(frozen=True, slots=True)
class Rules:
    """How many of each are kept; 0: the rule is not used."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @classmethod
    def of(cls, schedule: SnapshotSchedule) -> Rules:
        return cls(
            last=schedule.keep_last,
            hourly=schedule.keep_hourly,
            daily=schedule.keep_daily,
            weekly=schedule.keep_weekly,
            monthly=schedule.keep_monthly,
        )

    @property
    def words(self) -> str:
        """ "the last 3, 7 daily, 4 weekly" """
        parts = [f"the last {self.last}"] if self.last else []
        return ", ".join(parts + [f"{getattr(self, name)} {name}" for name in _PERIODS if getattr(self, name)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the snapshot taken at `at` stays."""

    at: datetime
    kept_as: tuple[str, ...]
    """The rules that keep it: "last 3", "newest of 26 Nov"; empty when it goes."""
    goes_because: tuple[str, ...]
    """Why no rule keeps it, a reason for each; empty when it stays."""

    @property
    def stays(self) -> bool:
        return bool(self.kept_as)


@dataclass(frozen=True, slots=True)
class _Period:
    noun: str
    of: Callable[[datetime], object]
    """What two moments of the same period have in common."""
    words: Callable[[datetime], str]


def _hour(moment: datetime) -> object:
    return (moment.date(), moment.hour, moment.utcoffset())


def _week(moment: datetime) -> object:
    return moment.isocalendar()[:2]


_PERIODS = {
    "hourly": _Period("hour", _hour, lambda moment: f"{moment:%-d %b, %H}h"),
    "daily": _Period("day", lambda moment: moment.date(), lambda moment: f"{moment:%-d %b}"),
    "weekly": _Period("week", _week, lambda moment: f"week {moment.isocalendar().week}"),
    "monthly": _Period("month", lambda moment: (moment.year, moment.month), lambda moment: f"{moment:%B %Y}"),
}


def verdicts(times: Iterable[datetime], rules: Rules) -> list[Verdict]:
    """One for each of `times` (when snapshots were due, none twice), newest first."""
    newest_first = sorted(times, reverse=True)
    kept: dict[datetime, list[str]] = {moment: [] for moment in newest_first}
    gone: dict[datetime, list[str]] = {moment: [] for moment in newest_first}
    if rules.last:
        for number, moment in enumerate(newest_first):
            if number < rules.last:
                kept[moment].append(f"one of the last {rules.last}")
            else:
                gone[moment].append(f"not one of the last {rules.last}")
    for name, period in _PERIODS.items():
        most, seen = getattr(rules, name), set[object]()
        for moment in newest_first if most else ():
            there = local(moment)
            if (key := period.of(there)) in seen:
                gone[moment].append(f"a newer one of its {period.noun} is there")
            elif len(seen) < most:
                kept[moment].append(f"newest of {period.words(there)}")
            else:
                which = period.noun if most == 1 else f"{most} {period.noun}s"
                gone[moment].append(f"older than the last {which} that have one")
            seen.add(key)
    return [
        Verdict(moment, tuple(kept[moment]), () if kept[moment] else tuple(gone[moment])) for moment in newest_first
    ]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What there will be when nothing fails."""

    days: int
    taken: int
    left: list[Verdict]
    """Newest first."""


def forecast(rhythm: Rhythm, rules: Rules, *, start: datetime, days: int, there: Iterable[datetime] = ()) -> Forecast:
    """After `days` of taking snapshots from `start` on, with those that are `there` already.

    It makes no difference that pruning happens after each one: what the rules keep in the end they kept all the time.
    """
    new = list(rhythm.between(start, start + timedelta(days=days)))
    return Forecast(days, len(new), [one for one in verdicts({*there, *new}, rules) if one.stays])
