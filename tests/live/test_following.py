"""What of the messages of a group a page gets."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest

from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.live import groups
from vmdash.live.following import Following
from vmdash.live.hub import Delivery
from vmdash.live.sight import Sight, Sights

ONE, OTHER = "6f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d", "7f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d"
VIEWER = User(pk=1, role=Role.VIEWER)
VIEWER.reach = VIEWER.reach_with([])
EVERYTHING = Sights(None, None, None)


def delivery(host: int, kind: str = "tick") -> Delivery:
    figures = {"guests": {ONE: {"cpu": 1.0}, OTHER: {"cpu": 2.0}}, "blames": {}, "cells": [], "places": {}}
    text = orjson.dumps({"type": kind, "host": host, **figures}).decode()
    return Delivery(groups.host(host), text, calm=True)


def test_of_a_host_everything_of_a_sample_one_guest() -> None:
    whole = delivery(3)
    assert Following.of(["host:3"], VIEWER, EVERYTHING).text(whole) == whole.text
    some = Following.of([f"sample:3:{ONE}"], VIEWER, EVERYTHING).text(whole)
    assert some is not None
    assert orjson.loads(some)["guests"] == {ONE: {"cpu": 1.0}}


def test_what_happens_on_the_host_is_not_for_those_who_follow_figures_of_a_guest() -> None:
    assert Following.of([f"sample:3:{ONE}"], VIEWER, EVERYTHING).text(delivery(3, "host_gone")) is None


def test_what_is_still_on_its_way_when_a_page_stops_following_is_not_given_to_it() -> None:
    assert Following.of([f"sample:4:{ONE}"], VIEWER, EVERYTHING).text(delivery(3)) is None
    assert Following().text(delivery(3)) is None


HOST_3 = Sights(Sight(hosts=frozenset({3}), names=frozenset({"kvm3"})), Sight())
GUEST_ONE = Sights(Sight(guests=frozenset({ONE}), carriers=frozenset({3})), Sight(guests=frozenset({ONE})))


def heard(sights: Sights, group: str, message: Mapping[str, object]) -> bool:
    following = Following({"topic": group}, frozenset({group}), {}, sights, "nora")
    return following.text(Delivery(group, orjson.dumps(message).decode(), calm=False)) is not None


@pytest.mark.parametrize(
    "message",
    [
        *({"type": kind, "host": 4} for kind in ("host", "host_gone", "storage", "pulse", "tick")),
        {"type": "guest", "row": {"uuid": OTHER, "host": 4}},
        {"type": "guest_gone", "uuid": OTHER, "host": 4},
    ],
)
def test_of_hosts_and_guests_that_are_not_seen_nothing_is_heard(message: dict[str, object]) -> None:
    assert heard(EVERYTHING, groups.FLEET, message)
    assert not any(heard(sights, groups.FLEET, message) for sights in (HOST_3, GUEST_ONE, Sights()))


def test_a_guest_is_heard_of_by_who_sees_it_or_its_host() -> None:
    one, other = ({"type": "guest", "row": {"uuid": uuid, "host": 3}} for uuid in (ONE, OTHER))
    assert heard(HOST_3, groups.FLEET, one)
    assert heard(HOST_3, groups.FLEET, other)
    assert heard(GUEST_ONE, groups.FLEET, one)
    assert not heard(GUEST_ONE, groups.FLEET, other)


def test_who_sees_a_guest_alone_gets_its_figures_and_none_of_its_host_nor_its_neighbours() -> None:
    blames = {ONE: {"lost": 3.0, "by": [[OTHER, 2.0], ["", 1.0]], "sure": 1.0}, OTHER: {"lost": 1.0, "by": []}}
    figures = {"guests": {ONE: {"cpu": 1.0}, OTHER: {"cpu": 2.0}}, "blames": blames, "cells": [], "places": {}}
    tick = {"type": "tick", "host": 3, "at": 1, "sample": {"cpu": 99.0}, "looked_at": 1, **figures}
    group = groups.host(3)
    following = Following({"host:3": group}, frozenset({group}), {}, GUEST_ONE)
    text = following.text(Delivery(group, orjson.dumps(tick).decode(), calm=True))
    assert text is not None
    assert OTHER not in text
    told = orjson.loads(text)
    assert told["guests"] == {ONE: {"cpu": 1.0}}
    assert told["blames"][ONE]["by"] == [["", 1.0]]
    assert told["sample"]["cpu"] is None
    assert told["looked_at"] is None


def test_the_connection_of_its_host_is_told_without_the_reason_which_has_addresses() -> None:
    host = {"type": "host", "host": 3, "state": "unreachable", "reason": "192.0.2.7 does not answer"}
    following = Following({"fleet": groups.FLEET}, frozenset({groups.FLEET}), {}, GUEST_ONE)
    text = following.text(Delivery(groups.FLEET, orjson.dumps(host).decode(), calm=False))
    assert text is not None
    assert orjson.loads(text) == host | {"reason": ""}


def test_of_a_guest_that_moved_away_no_picture_is_announced_any_more() -> None:
    """Not even the time of one: at once where a host was granted, and as soon as it is known where a tag was."""
    group = groups.guest(ONE)
    here, there = ({"type": "screen", "uuid": ONE, "host": host, "at": 1} for host in (3, 4))
    host_3 = Sights(None, None, Sight(hosts=frozenset({3})))
    assert heard(host_3, group, here)
    assert not heard(host_3, group, there)
    alone = Sights(Sight(), Sight(), Sight(guests=frozenset({ONE}), carriers=frozenset({4})))
    assert heard(alone, group, there)
    assert not heard(Sights(Sight(), Sight(), Sight()), group, here)
    assert heard(EVERYTHING, group, there)


def job(**fields: object) -> dict[str, object]:
    about = {"target_kind": "domain", "target_id": ONE, "host": "kvm3", "names": ["kvm3"], "requested_by": "olga"}
    return {"type": "job", **about, **fields}


def test_everybodys_jobs_are_heard_where_they_may_be_seen_and_ones_own_where_one_sees() -> None:
    assert heard(GUEST_ONE, groups.ALL_JOBS, job())
    assert not heard(GUEST_ONE, groups.ALL_JOBS, job(target_id=OTHER))
    assert not heard(HOST_3, groups.ALL_JOBS, job(target_id=OTHER))
    assert heard(HOST_3, groups.ALL_JOBS, job(target_id=OTHER, requested_by="nora"))
    assert not heard(HOST_3, groups.jobs_of(1), job(host="kvm4", requested_by="nora"))
    assert heard(Sights(None, Sight()), groups.ALL_JOBS, job(requested_by="nora"))
    assert not heard(Sights(None, Sight()), groups.ALL_JOBS, job())
