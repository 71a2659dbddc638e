"""What one page follows: the groups behind its topics, and what of their messages it wants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmdash.live import cache
from vmdash.live.hub import Delivery
from vmdash.live.messages import Tick
from vmdash.live.publish import encode
from vmdash.live.topics import group_of, host_of, sample_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User


@dataclass(frozen=True, slots=True)
class Following:
    groups: dict[str, str] = field(default_factory=dict)
    """By topic."""
    whole: frozenset[str] = frozenset()
    """The groups of which everything is wanted."""
    samples: dict[str, set[str]] = field(default_factory=dict)
    """Of the others, by group: UUIDs of the guests whose figures alone are wanted."""

    @classmethod
    def of(cls, topics: Iterable[str], person: User | AnonymousUser) -> Following:
        """Raises InvalidInput and NotPermitted, as `group_of` does."""
        by_topic = {topic: group_of(topic, person) for topic in topics}
        whole = frozenset(group for topic, group in by_topic.items() if not sample_of(topic))
        samples: dict[str, set[str]] = {}
        for topic, group in by_topic.items():
            if (sample := sample_of(topic)) and group not in whole:
                samples.setdefault(group, set()).add(sample[1])
        return cls(by_topic, whole, samples)

    def text(self, delivery: Delivery) -> str | None:
        """The text that the page gets; None if it wants nothing of the message."""
        if delivery.group in self.whole:
            return delivery.text
        wanted = self.samples.get(delivery.group)
        tick = delivery.tick if wanted else None
        return encode(_only(tick, wanted)) if tick and wanted else None


def newest_ticks(added: Iterable[str]) -> list[str]:
    """What the live cache knows of the topics that a page begins to follow."""
    added = list(added)
    texts = cache.encoded_ticks([host for topic in added if (host := host_of(topic)) is not None])
    samples: dict[int, set[str]] = {}
    for topic in added:
        if sample := sample_of(topic):
            samples.setdefault(sample[0], set()).add(sample[1])
    ticks = cache.ticks(samples)
    return texts + [encode(_only(tick, samples[host])) for host, tick in ticks.items()]


def _only(tick: Tick, uuids: set[str]) -> Tick:
    guests, blames = tick["guests"], tick["blames"]
    return tick | {
        "guests": {uuid: guests[uuid] for uuid in uuids & guests.keys()},
        "blames": {uuid: blames[uuid] for uuid in uuids & blames.keys()},
        "cells": [],
        "places": {},
    }
