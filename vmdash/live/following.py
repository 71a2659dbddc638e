"""What one page follows: the groups behind its topics, and what of their messages it wants and may hear."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from vmdash.access.naming import unnamed, without_place
from vmdash.access.roles import Permission, can_everywhere
from vmdash.exceptions import NotPermitted
from vmdash.live import cache
from vmdash.live.hub import Delivery
from vmdash.live.messages import Blame, HostSample, Tick
from vmdash.live.publish import encode
from vmdash.live.sight import NOTHING, Sight, Sights
from vmdash.live.topics import group_of, guest_of, host_of, sample_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

_UNTOLD: HostSample = {
    "cpu": None, "steal": None, "mem": None, "mem_total": None, "running": 0, "vcpus": 0, "guests": 0, "slow_at": None
}  # fmt: skip
_ABOUT_HOSTS = ("host_gone", "storage", "pulse")


@dataclass(frozen=True, slots=True)
class Following:
    groups: dict[str, str] = field(default_factory=dict)
    """By topic."""
    whole: frozenset[str] = frozenset()
    """The groups of which everything is wanted."""
    samples: dict[str, set[str]] = field(default_factory=dict)
    """Of the others, by group: UUIDs of the guests whose figures alone are wanted."""
    sights: Sights = NOTHING
    person: str = ""
    """Their user name."""

    @classmethod
    def of(
        cls,
        topics: Iterable[str],
        person: User | AnonymousUser,
        sights: Sights,
        screens: Collection[str] = (),
    ) -> Following:
        """`screens`: of the guests among the topics, those whose screen this person may see; all of them for those who
        may everywhere. Raises InvalidInput and NotPermitted, as `group_of` does."""
        by_topic = {topic: group_of(topic, person) for topic in topics}
        guests = {uuid for topic in by_topic if (uuid := guest_of(topic))}
        if not guests <= set(screens) and not can_everywhere(person, Permission.CONSOLE):
            raise NotPermitted(f"You may not {Permission.CONSOLE.label}.")
        whole = frozenset(group for topic, group in by_topic.items() if not sample_of(topic))
        samples: dict[str, set[str]] = {}
        for topic, group in by_topic.items():
            if (sample := sample_of(topic)) and group not in whole:
                samples.setdefault(group, set()).add(sample[1])
        return cls(by_topic, whole, samples, sights, person.get_username())

    def text(self, delivery: Delivery) -> str | None:
        """The text that the page gets; None if it wants or may hear nothing of the message."""
        if delivery.group in self.whole:
            if self._hears_all_of(delivery):
                return delivery.text  # as it is: most people see everything, and nothing is decoded for them
            return self._heard(delivery)
        wanted = self.samples.get(delivery.group)
        tick = delivery.tick if wanted else None
        some = self.seen_of(tick, wanted) if tick else None
        return encode(some) if some else None

    def _hears_all_of(self, delivery: Delivery) -> bool:
        """Whether everything of this group is for them."""
        if delivery.is_for_a_screen:
            return self.sights.screens is None
        return self.sights.seen is None and (self.sights.jobs is None or not delivery.is_for_all_jobs)

    def _heard(self, delivery: Delivery) -> str | None:
        message, sight = delivery.message, self.sights.seen
        kind = message["type"]
        if kind in ("job", "job_line"):
            return self._job_as_told(delivery) if self._hears_job(delivery) else None
        if kind == "screen":
            screens = self.sights.screens
            seen = screens is None or screens.has_guest(message["uuid"], message.get("host", 0))
            return delivery.text if seen else None
        if sight is None:
            return delivery.text
        if kind == "tick":
            tick = self.seen_of(cast(Tick, message))
            return (delivery.text if tick is message else encode(tick)) if tick else None
        if kind == "guest":
            return delivery.text if sight.has_guest(message["row"]["uuid"], message["row"]["host"]) else None
        if kind == "guest_gone":
            return delivery.text if sight.has_guest(message["uuid"], message["host"]) else None
        if kind == "host" and message["host"] in sight.carriers - sight.hosts:
            return encode(cast(Any, message | {"reason": ""}))  # it tells of addresses
        if kind == "host" or kind in _ABOUT_HOSTS:
            return delivery.text if message["host"] in sight.hosts else None
        return delivery.text

    def _hears_job(self, delivery: Delivery) -> bool:
        """Everybody's about what they may see everybody's of, and their own about what they may see."""

        def covered(sight: Sight | None) -> bool:
            return sight is None or sight.has_target(job["target_kind"], job["target_id"], job["host"])

        job = delivery.message
        return covered(self.sights.jobs) or (job["requested_by"] == self.person and covered(self.sights.seen))

    def _job_as_told(self, delivery: Delivery) -> str:
        message, sight = delivery.message, self.sights.seen
        hidden = set() if sight is None else set(message["names"]) - sight.names - sight.carrier_names
        if not hidden:
            return delivery.text
        told = message | {
            "host": "" if message["host"] in hidden else message["host"],
            "names": [name for name in message["names"] if name not in hidden],
        }
        for words in {"label", "phase", "error", "text"} & message.keys():
            told[words] = without_place(message[words], hidden) if words == "label" else unnamed(message[words], hidden)
        return encode(cast(Any, told))

    def seen_of(self, tick: Tick, wanted: Collection[str] | None = None) -> Tick | None:
        """A host's tick, or what of it is about the guests in `wanted`, as far as this person may hear it."""
        sight = self.sights.seen
        if sight is None or tick["host"] in sight.hosts:
            return tick if wanted is None else _only(tick, wanted)
        if tick["host"] not in sight.carriers:
            return None
        return _veiled(_only(tick, sight.guests if wanted is None else sight.guests & set(wanted)), sight)


def newest_ticks(added: Iterable[str], following: Following) -> list[str]:
    """What the live cache knows of the topics that a page begins to follow."""
    added = list(added)
    hosts = [host for topic in added if (host := host_of(topic)) is not None]
    samples: dict[int, set[str]] = {}
    for topic in added:
        if sample := sample_of(topic):
            samples.setdefault(sample[0], set()).add(sample[1])
    if following.sights.seen is None:
        texts = cache.encoded_ticks(hosts)
        return texts + [encode(_only(tick, samples[host])) for host, tick in cache.ticks(samples).items()]
    whole = [following.seen_of(tick) for tick in cache.ticks(hosts).values()]
    some = [following.seen_of(tick, samples[host]) for host, tick in cache.ticks(samples).items()]
    return [encode(tick) for tick in (*whole, *some) if tick]


def _only(tick: Tick, uuids: Collection[str]) -> Tick:
    guests, blames = tick["guests"], tick["blames"]
    wanted = set(uuids)
    return tick | {
        "guests": {uuid: guests[uuid] for uuid in wanted & guests.keys()},
        "blames": {uuid: blames[uuid] for uuid in wanted & blames.keys()},
        "cells": [],
        "places": {},
        "looked_at": None,
    }


def _veiled(tick: Tick, sight: Sight) -> Tick:
    """Without the host's own figures, and without the guests that took time from those that are seen."""
    known = {"", *sight.guests}

    def veiled(blame: Blame) -> Blame:
        return blame | {"by": [(uuid, share) for uuid, share in blame["by"] if uuid in known]}

    return tick | {"sample": _UNTOLD, "blames": {uuid: veiled(blame) for uuid, blame in tick["blames"].items()}}
