"""What a browser asks to follow: from the text it sent to the groups it joins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from vmdash.access.roles import Permission, can
from vmdash.exceptions import InvalidInput, NotPermitted
from vmdash.live import groups

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from vmdash.access.models import User

LONGEST_MESSAGE = 32 * 1024
MOST_TOPICS = 300
MOST_GUESTS = 20
"""Guests whose screen one page may follow: pictures of each are taken for it."""

_HOST = re.compile(r"host:(0|[1-9][0-9]{0,17})", re.ASCII)
_SAMPLE = re.compile(r"sample:(0|[1-9][0-9]{0,17}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_GUEST = re.compile(r"guest:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)


def parse_watch(text: str) -> list[str]:
    """The topics of a `Watch` message.

    Raises:
        InvalidInput: it is anything else.
    """
    if len(text) > LONGEST_MESSAGE:
        raise InvalidInput(f"The message is longer than {LONGEST_MESSAGE} characters.")
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidInput("The message is not JSON.") from None
    if not isinstance(message, dict) or message.get("type") != "watch":
        raise InvalidInput('The only message is {"type": "watch", "topics": […]}.')
    topics = message.get("topics")
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise InvalidInput("`topics` is a list of texts.")
    if len(topics) > MOST_TOPICS:
        raise InvalidInput(f"These are {len(topics)} topics; at most {MOST_TOPICS} can be followed.")
    if sum(topic.startswith("guest:") for topic in topics) > MOST_GUESTS:
        raise InvalidInput(f"At most {MOST_GUESTS} guests can be followed on one page.")
    return topics


def group_of(topic: str, user: User | AnonymousUser) -> str:
    """The Channels group behind a topic, for this person.

    Raises:
        InvalidInput: there is no such topic.
        NotPermitted: they may not follow it.
    """
    if topic == "fleet":
        return groups.FLEET
    if topic == "jobs":  # who may see some people's hears of these alone (`Following`)
        return groups.ALL_JOBS if can(user, Permission.VIEW_ALL_JOBS) else groups.jobs_of(user.pk or 0)
    if topic == "pulses":
        return groups.PULSES
    if match := _HOST.fullmatch(topic) or _SAMPLE.fullmatch(topic):
        return groups.host(int(match[1]))
    if match := _GUEST.fullmatch(topic):
        if not can(user, Permission.CONSOLE):
            raise NotPermitted(f"You may not {Permission.CONSOLE.label}.")
        return groups.guest(match[1])
    raise InvalidInput(f"There is no topic {topic[:80]!r}.")


def host_of(topic: str) -> int | None:
    """The host's id of a `host:ID` topic."""
    match = _HOST.fullmatch(topic)
    return int(match[1]) if match else None


def guest_of(topic: str) -> str | None:
    """The guest's UUID of a `guest:UUID` topic."""
    match = _GUEST.fullmatch(topic)
    return match[1] if match else None


def sample_of(topic: str) -> tuple[int, str] | None:
    """The host's id and the guest's UUID of a `sample:HOST:UUID` topic."""
    match = _SAMPLE.fullmatch(topic)
    return (int(match[1]), match[2]) if match else None
