"""Who takes a guest's CPU time: the collector's findings in names that a person may know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.models import Domain
from vmdash import formats
from vmdash.live.messages import Blame, Tick

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

LEAST_PERCENT = 0.5
"""Whoever takes less is not named."""
NAMED = 2
"""So many are named in a sentence."""
SURE, LIKELY = 0.7, 0.35


@dataclass(frozen=True, slots=True)
class Taker:
    """Who took a part. `uuid` is empty where there is no page to show: the host itself, guests one may not see."""

    words: str
    uuid: str
    percent: float
    """Of the loser's vCPUs' time."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a guest lost over about the last minute, in percent of its vCPUs' time."""

    percent: float
    takers: list[Taker]
    """Most first."""
    sure: float

    @property
    def unknown(self) -> float:
        return max(0.0, round(self.percent - sum(taker.percent for taker in self.takers), 1))

    @property
    def sentence(self) -> str:
        """ "loses 31 % of its CPU time: to ci-7 (22 %) and build-2 (9 %)" """
        named = [f"{taker.words} ({formats.percent(taker.percent)})" for taker in self.takers[:NAMED]]
        whom = f": to {' and '.join(named)}" if named else ""
        others = len(self.takers) - len(named)
        more = f", and to {others} more" if others > 0 else ""
        return f"loses {formats.percent(self.percent)} of its CPU time{whom}{more}"

    @property
    def confidence(self) -> str:
        """How sure the naming is, in words."""
        if not self.takers:
            return "Who takes it is not known: its host does not tell where vCPUs run."
        if self.sure >= SURE:
            return "That is sure: they stayed on the same physical CPUs."
        if self.sure >= LIKELY:
            return "That is likely: some of them changed CPUs meanwhile."
        return "That is an estimate: they changed CPUs all the time."


def loss_of(user: User | AnonymousUser, guest: Domain, tick: Tick | None) -> Loss | None:
    """What the guest loses now; None when it loses nothing. One query."""
    blame = tick.get("blames", {}).get(str(guest.pk)) if tick else None
    return named_loss(user, guest, blame) if blame else None


def named_loss(user: User | AnonymousUser, guest: Domain, blame: Blame) -> Loss:
    by = [(uuid, percent) for uuid, percent in blame["by"] if percent >= LEAST_PERCENT]
    names = names_of(user, [uuid for uuid, _ in by])
    takers = [Taker(*_called(guest, uuid, names), percent) for uuid, percent in by]
    return Loss(blame["lost"], _together(takers), blame["sure"])


def names_of(user: User | AnonymousUser, uuids: Iterable[str]) -> dict[str, str]:
    """The names of guests that the person may see. One query."""
    found = Domain.objects.visible_to(user).filter(pk__in=[uuid for uuid in uuids if uuid]).values_list("pk", "name")
    return {str(pk): name for pk, name in found}


def _called(guest: Domain, uuid: str, names: dict[str, str]) -> tuple[str, str]:
    if not uuid:
        return f"other work of {guest.host.name}", ""
    if uuid == str(guest.pk):
        return "its own other vCPUs", ""
    if uuid in names:
        return names[uuid], uuid
    return "guests that you may not see", ""


def _together(takers: list[Taker]) -> list[Taker]:
    """Those without a name of their own as one."""
    summed: dict[tuple[str, str], float] = {}
    for taker in takers:
        key = (taker.words, taker.uuid)
        summed[key] = round(summed.get(key, 0.0) + taker.percent, 1)
    found = [Taker(words, uuid, percent) for (words, uuid), percent in summed.items()]
    return sorted(found, key=lambda taker: taker.percent, reverse=True)
