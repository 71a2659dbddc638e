"""What of the messages of a group a page gets."""

from __future__ import annotations

import orjson

from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.live import groups
from vmdash.live.following import Following
from vmdash.live.hub import Delivery

ONE, OTHER = "6f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d", "7f3c1ab0-6b3f-4a3a-9d0e-0f5e6f1b2c3d"
VIEWER = User(pk=1, role=Role.VIEWER)


def delivery(host: int, kind: str = "tick") -> Delivery:
    figures = {"guests": {ONE: {"cpu": 1.0}, OTHER: {"cpu": 2.0}}, "blames": {}, "cells": [], "places": {}}
    text = orjson.dumps({"type": kind, "host": host, **figures}).decode()
    return Delivery(groups.host(host), text, calm=True)


def test_of_a_host_everything_of_a_sample_one_guest() -> None:
    whole = delivery(3)
    assert Following.of(["host:3"], VIEWER).text(whole) == whole.text
    some = Following.of([f"sample:3:{ONE}"], VIEWER).text(whole)
    assert some is not None
    assert orjson.loads(some)["guests"] == {ONE: {"cpu": 1.0}}


def test_what_happens_on_the_host_is_not_for_those_who_follow_figures_of_a_guest() -> None:
    assert Following.of([f"sample:3:{ONE}"], VIEWER).text(delivery(3, "host_gone")) is None


def test_what_is_still_on_its_way_when_a_page_stops_following_is_not_given_to_it() -> None:
    assert Following.of([f"sample:4:{ONE}"], VIEWER).text(delivery(3)) is None
    assert Following().text(delivery(3)) is None
