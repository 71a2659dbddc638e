"""When pools are foreseen to be full. This app works nothing out of the past: who does registers a reader."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one pool, in words; also when nobody can tell yet."""

    words: str
    """For a column: a day, "now", "not foreseen", "not known yet", or "not known" where no time will tell."""
    certainty: str
    """A sentence: how far the day may be off, or why there is none."""
    full_at: date | None
    is_full: bool


class ForecastReader(Protocol):
    def __call__(self, user: User, pool_ids: Collection[int]) -> Mapping[int, Forecast]:
        """One for each of these pools; none at all when `user` may not know."""


_readers: list[ForecastReader] = []


def register(reader: ForecastReader) -> None:
    _readers.append(reader)


def forecasts(user: User, pool_ids: Collection[int]) -> dict[int, Forecast]:
    """By the primary key of the pool. A fixed number of queries."""
    return {pk: found for reader in _readers for pk, found in reader(user, pool_ids).items()}
