"""What a browser may ask to follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import person_with
from vmdash.access.roles import Role
from vmdash.exceptions import InvalidInput, NotPermitted
from vmdash.live import groups
from vmdash.live.topics import MOST_GUESTS, MOST_TOPICS, group_of, parse_watch

UUID = "6f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d"


def test_a_watch_message_gives_its_topics() -> None:
    assert parse_watch('{"type": "watch", "topics": ["fleet", "host:3"]}') == ["fleet", "host:3"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"watch"',
        '{"type": "watch"}',
        '{"type": "watch", "topics": "fleet"}',
        '{"type": "watch", "topics": [1]}',
        '{"type": "tick", "topics": []}',
        '{"type": "watch", "topics": ["' + "x" * 40_000 + '"]}',
        '{"type": "watch", "topics": ' + str(["fleet"] * (MOST_TOPICS + 1)).replace("'", '"') + "}",
        '{"type": "watch", "topics": ' + str([f"guest:{UUID}"] * (MOST_GUESTS + 1)).replace("'", '"') + "}",
    ],
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_watch(text)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse_watch(text)
    except InvalidInput as refusal:
        assert refusal.message


@given(st.text())
def test_a_topic_is_a_group_of_ours_or_refused(topic: str) -> None:
    try:
        group = group_of(topic, person_with(Role.OPERATOR, pk=7))
    except InvalidInput:
        return
    assert group in {groups.FLEET, groups.PULSES, groups.ALL_JOBS} or group.startswith(("host.", "guest."))


def test_topics_lead_to_groups() -> None:
    operator = person_with(Role.OPERATOR, pk=7)
    assert group_of("fleet", operator) == groups.FLEET
    assert group_of("pulses", operator) == groups.PULSES
    assert group_of("host:3", operator) == group_of(f"sample:3:{UUID}", operator) == groups.host(3)
    assert group_of(f"guest:{UUID}", operator) == groups.guest(UUID)


@pytest.mark.parametrize(
    "topic",
    [
        *("host:", "host:-1", "host:03", "host:٣", "host:3\n", "guest:1", f"guest:{UUID.upper()}", "hosts"),
        *("sample:3", f"sample:03:{UUID}", f"sample:3:{UUID.upper()}", f"sample::{UUID}"),
    ],
)
def test_a_malformed_topic_is_refused(topic: str) -> None:
    with pytest.raises(InvalidInput):
        group_of(topic, person_with(Role.OPERATOR, pk=7))


def test_jobs_are_ones_own_unless_the_role_sees_all() -> None:
    assert group_of("jobs", person_with(Role.HELP_DESK, pk=7)) == groups.jobs_of(7)
    assert group_of("jobs", person_with(Role.OPERATOR, pk=7)) == groups.ALL_JOBS


def test_a_guests_screen_is_only_for_those_who_may_open_its_console() -> None:
    with pytest.raises(NotPermitted):
        group_of(f"guest:{UUID}", person_with(Role.VIEWER, pk=7))
