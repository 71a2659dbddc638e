"""When a schedule's snapshots are due. Times of day are those of the site's time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from django.utils import timezone

from domains.snapshots.models import SnapshotSchedule

HOUR, DAY, WEEK = SnapshotSchedule.Every.HOUR, SnapshotSchedule.Every.DAY, SnapshotSchedule.Every.WEEK


def local(moment: datetime) -> datetime:
    """In the site's time zone, whatever the reader's."""
    return timezone.localtime(moment, timezone.get_default_timezone())


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Every hour at a minute, every day at a time, or every week on a weekday (0: Monday) at a time.

    A time that a clock change skips comes as much later; one that it repeats counts once.
    """

    every: str
    at: time
    weekday: int = 0

    @classmethod
    def of(cls, schedule: SnapshotSchedule) -> Rhythm:
        return cls(schedule.every, schedule.at, schedule.weekday)

    def after(self, moment: datetime) -> datetime:
        """The first time later than `moment`, in UTC."""
        return self._next_hourly(moment) if self.every == HOUR else self._next_daily(moment)

    def between(self, moment: datetime, until: datetime) -> Iterator[datetime]:
        """The times later than `moment`, up to and with `until`."""
        found = self.after(moment)
        while found <= until:
            yield found
            found = self.after(found)

    @property
    def words(self) -> str:
        """ "every week on Sunday at 02:00" """
        if self.every == HOUR:
            return f"every hour at minute {self.at.minute}"
        day = f"week on {SnapshotSchedule.Weekday(self.weekday).label}" if self.every == WEEK else "day"
        return f"every {day} at {self.at:%H:%M}"

    def _next_hourly(self, moment: datetime) -> datetime:
        minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
        found = minute + timedelta(minutes=(self.at.minute - local(moment).minute) % 60)
        return found if found > moment else found + timedelta(hours=1)

    def _next_daily(self, moment: datetime) -> datetime:
        day = local(moment).date() - timedelta(days=1)  # at a clock change, yesterday's may still come
        while True:
            if self.every == DAY or day.weekday() == self.weekday:
                found = datetime.combine(day, self.at, tzinfo=timezone.get_default_timezone()).astimezone(UTC)
                if found > moment:
                    return found
            day += timedelta(days=1)
