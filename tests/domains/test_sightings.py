"""Where a guest is, from what its hosts say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domains.models import Sighting
from domains.sightings import ARRIVAL, Whereabouts
from domains.sightings import locate as locate_at
from hosts.models import Host

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def host(number: int, *, up: bool = True, enabled: bool = True) -> Host:
    return Host(pk=number, name=f"kvm{number}", enabled=enabled, state="up" if up else "unreachable", host_uuid=uuid4())


def sighting(at: Host, state: str = "running", reason: str = "", *, minutes_ago: int = 0) -> Sighting:
    return Sighting(host=at, state=state, state_reason=reason, seen_at=NOW - timedelta(minutes=minutes_ago))


def locate(sightings: list[Sighting], current_host_id: int | None) -> Whereabouts:
    return locate_at(sightings, current_host_id, NOW)


def test_nobody_has_it() -> None:
    assert locate([], 1) == Whereabouts(None)


def test_where_it_runs_counts_more_than_where_the_row_says() -> None:
    here, there = sighting(host(1), "shut_off"), sighting(host(2))

    assert locate([here, there], 1) == Whereabouts(there)


def test_off_everywhere_it_stays_where_it_was() -> None:
    here, there = sighting(host(1), "shut_off", minutes_ago=9), sighting(host(2), "shut_off")

    assert locate([here, there], 1) == Whereabouts(here)
    assert locate([here, there], None) == Whereabouts(there)


def test_running_twice_is_a_split_brain_and_the_row_stays() -> None:
    here, there = sighting(host(1)), sighting(host(2))

    assert locate([here, there], 2) == Whereabouts(there, split_brain=True)


def test_between_the_two_ends_of_a_migration_the_row_stays() -> None:
    source, target = sighting(host(1), "paused", "migration"), sighting(host(2), "paused", "migration")

    assert locate([source, target], 1) == Whereabouts(source)


def test_the_last_words_of_a_lost_host_count_less_than_a_connected_one() -> None:
    lost, found = sighting(host(1, up=False)), sighting(host(2))

    assert locate([lost, found], 1) == Whereabouts(found)


def test_on_a_lost_host_it_still_runs_as_far_as_we_know() -> None:
    lost, defined = sighting(host(1, up=False)), sighting(host(2), "shut_off")

    assert locate([lost, defined], 1) == Whereabouts(lost)


def test_a_disabled_host_is_no_split_brain() -> None:
    disabled, running = sighting(host(1, enabled=False)), sighting(host(2))

    assert locate([disabled, running], 1) == Whereabouts(running)


def test_the_same_machine_under_two_names_is_no_split_brain() -> None:
    one, two = host(1), host(2)
    two.host_uuid = one.host_uuid

    assert not locate([sighting(one), sighting(two)], 1).split_brain


@pytest.mark.parametrize("reason", ["migration", "postcopy", "starting_up", "postcopy_failed"])
def test_paused_for_migration_does_not_count_as_running(reason: str) -> None:
    source, target = sighting(host(1)), sighting(host(2), "paused", reason)

    assert locate([source, target], 1) == Whereabouts(source)


@pytest.mark.parametrize("reason", ["user", "io_error"])
def test_paused_for_another_reason_does(reason: str) -> None:
    running, paused = sighting(host(1)), sighting(host(2), "paused", reason)

    assert locate([running, paused], 1).split_brain


def test_the_target_of_a_migration_is_believed_before_the_source_has_spoken() -> None:
    source, target = sighting(host(1), minutes_ago=9), sighting(host(2), "running", "migrated")

    assert locate([source, target], 1) == Whereabouts(target)
    assert locate_at([source, target], 1, NOW + ARRIVAL) == Whereabouts(source, split_brain=True)
