"""Several hundred guests that move, change their state and are removed, looked at in several moments: each guest where
and as it was, whether the fleet is small enough to show each or so large that they are counted."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.test import Client

from domains.models import Domain, DomainState, GuestEvent
from domains.timeline import fleet
from domains.timeline.fleet import FleetThen, fleet_then
from domains.timeline.guests import part_then
from hosts.models import Host, HostEvent
from tests.factories import DomainFactory, HostFactory
from tests.polling import poll
from tests.queries import queries_of
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.metrics import query

pytestmark = pytest.mark.django_db

GUESTS, HOSTS = 300, 6
NOW = int(time.time()) // 60 * 60
BEGIN = NOW - 4 * 86_400
MOMENTS = [BEGIN - 1, BEGIN + 60, NOW - 3 * 86_400, NOW - 2 * 86_400, NOW - 86_400, NOW - 60]
Known = dict[UUID, tuple[str, str, str]]
"""Of each guest its name, its host and its state."""


class Fleet:
    """Guests with a history of four days. Some are gone by now: their rows, or all but a mark on them."""

    def __init__(self) -> None:
        self.chance = random.Random(11)
        self.hosts = [HostFactory.create(name=f"kvm-{uuid.uuid4().hex[:8]}") for _ in range(HOSTS)]
        HostEvent.objects.bulk_create(HostEvent(host=host, at=moment(BEGIN), state="up") for host in self.hosts)
        self.events: list[GuestEvent] = []
        rows = [self._guest(number) for number in range(GUESTS)]
        Domain.objects.bulk_create(row for row in rows if row)
        GuestEvent.objects.bulk_create(self.events)

    def _guest(self, number: int) -> Domain | None:
        """What is left of it now."""
        key, name, host = uuid.uuid4(), f"guest{number:03}", self.chance.choice(self.hosts)
        state, at = "running", BEGIN + 5
        self.event(key, name, at, "seen", host, state)
        while (at := at + self.chance.randint(3600, 86_400)) < NOW - 7200:
            match self.chance.choice(("moved", "state", "state", "gone" if number % 3 == 0 else "moved")):
                case "moved":
                    host = self.chance.choice([other for other in self.hosts if other != host])
                    self.event(key, name, at, "moved", host, state)
                case "state":
                    state = self.chance.choice([other for other in ("running", "shut_off", "paused") if other != state])
                    self.event(key, name, at, "state", host, state)
                case "gone":
                    self.event(key, name, at, "gone", host, state)
                    marked = DomainFactory.build(uuid=key, name=name, host=host, state=state, gone_at=moment(at))
                    return marked if number % 2 else None
        return DomainFactory.build(uuid=key, name=name, host=host, state=DomainState(state))

    def event(self, key: UUID, name: str, at: int, kind: str, host: Host, state: str) -> None:
        event = GuestEvent(uuid=key, name=name, at=moment(at), kind=kind, host_name=host.name, state=state)
        self.events.append(event)

    def known_at(self, at_s: int) -> Known:
        """Each event after the other."""
        known: Known = {}
        for event in sorted(self.events, key=lambda event: event.at):
            if event.at > moment(at_s):
                break
            if event.kind == "gone":
                known.pop(event.uuid, None)
            else:
                known[event.uuid] = (event.name, event.host_name, event.state)
        return known

    def then(self, user: User, at_s: int) -> FleetThen:
        return fleet_then(user, moment(at_s), list(Host.objects.visible_to(user).select_related("site")))


def moment(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


@pytest.fixture
def many(victoria_metrics: str) -> Fleet:
    return Fleet()


@pytest.fixture(params=["each", "counted"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether each guest is told, or the fleet counts as large."""
    if request.param == "counted":
        monkeypatch.setattr(fleet, "MOST_GUESTS", GUESTS // 10)
    return str(request.param)


def counts(past: FleetThen) -> dict[tuple[str, str], int]:
    return {(host.name, count.state): count.number for host in past.hosts for count in host.states}


def test_each_host_has_its_guests_of_then(many: Fleet, way: str, viewer: User) -> None:
    seen = []
    for at in MOMENTS:
        known, past = many.known_at(at), many.then(viewer, at)
        assert counts(past) == Counter((host, state) for _, host, state in known.values())
        assert past.guests == len(known)
        assert past.active == sum(state != "shut_off" for _, _, state in known.values())
        if way == "each":
            told = {guest.uuid: (guest.name, host.name, guest.state) for host in past.hosts for guest in host.guests}
            assert told == known
        else:
            assert len(known) <= GUESTS // 10 or not any(host.guests for host in past.hosts)
        seen.append(known)
    assert all(one != other for one, other in pairwise(seen))  # or little would be shown by it
    assert len(seen[1]) == GUESTS > len(seen[-1]) + 20


def test_who_sees_one_host_counts_no_guests_of_others(many: Fleet, way: str, nobody: User) -> None:
    mine = many.hosts[0]
    Grant.objects.create(person=nobody, role=Role.VIEWER, scope=Scope.HOST, scope_id=str(mine.pk))
    now_here = set(Domain.objects.present().filter(host=mine).values_list("pk", flat=True))
    there = set(Domain.objects.present().values_list("pk", flat=True))
    for at in MOMENTS:
        expected = Counter[tuple[str, str]]()
        for key, (_, host, state) in many.known_at(at).items():
            # Those that are on it now, wherever they were, and those that are gone by now and were on it then.
            if key in now_here or (key not in there and host == mine.name):
                expected[host if host == mine.name else "", state] += 1
        assert counts(many.then(nobody, at)) == expected


def test_what_changed_before_is_told_beside_a_mass_of_removals(many: Fleet, way: str, viewer: User) -> None:
    """Of guests that were gone by then nothing is told: there are no such guests in that moment."""
    at = NOW - 60
    left = sorted(many.known_at(at).items())
    (moved, (name, _, state)), removed = left[0], left[1:]
    many.event(moved, name, at - 1800, "moved", many.hosts[1], state)
    for number, (key, (called, _, was)) in enumerate(removed):
        for back, kind in ((1200, "state"), (600, "gone")):
            many.event(key, called, at - back + number, kind, many.hosts[0], was)
    GuestEvent.objects.bulk_create(event for event in many.events if event.pk is None)
    Domain.objects.filter(pk__in=[key for key, _ in removed]).update(gone_at=moment(at))
    past = many.then(viewer, at)
    assert [(change.guest.name, change.words) for change in past.changes] == [(name, f"moved to {many.hosts[1].name}")]
    assert past.guests == 1
    before = many.then(viewer, at - 1300)
    assert before.guests == len(left)


def test_the_newest_changes_of_the_hour_are_told(many: Fleet, way: str, viewer: User) -> None:
    at = NOW - 2 * 86_400
    since, known = moment(at) - timedelta(hours=1), many.known_at(at)
    expected = [event for event in many.events if since < event.at <= moment(at) and event.uuid in known]
    expected.sort(key=lambda event: event.at, reverse=True)
    told = [(change.at, change.guest.uuid) for change in many.then(viewer, at).changes]
    assert len(told) > 3
    assert [at for at, _ in told] == [event.at for event in expected[:15]]
    assert set(told) <= {(event.at, event.uuid) for event in expected}


def _lost(many: Fleet, at_s: int, shares: dict[UUID, float]) -> Iterator[str]:
    for key, (name, host, _) in many.known_at(at_s).items():
        only = f'host="{host}",domain="{name}",uuid="{key}",vcpu="0"'
        for step in range(19):
            lost, at = step * 10 * shares.get(key, 0.001), (at_s - 180 + step * 10) * 1000
            yield f"libvirt_domain_vcpu_delay_seconds_total{{{only}}} {lost} {at}"


def test_those_that_lost_the_most_are_named_while_they_were_there(
    victoria_metrics: str, many: Fleet, way: str, viewer: User, viewer_client: Client
) -> None:
    at = NOW - 3 * 86_400
    running = [key for key, (_, _, state) in many.known_at(at).items() if state == "running"]
    off = next(key for key, (_, _, state) in many.known_at(at).items() if state == "shut_off")
    shares = {running[0]: 0.4, running[1]: 0.2, running[2]: 0.1, off: 0.5}
    lines = "\n".join((*_lost(many, at, shares), ""))
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content=lines).raise_for_status()
    httpx.get(f"{victoria_metrics}/internal/force_flush").raise_for_status()
    poll(lambda: len(many.then(viewer, at).worst) == 3, 20, "the figures")
    past, known = many.then(viewer, at), many.known_at(at)
    assert [loss.guest.uuid for loss in past.worst] == running[:3]
    assert [loss.percent for loss in past.worst] == pytest.approx([40, 20, 10], abs=1)
    page = viewer_client.get("/", {"at": at}).content.decode()
    worst = page[page.index("Guests that lost the most CPU time") :]
    assert all(known[key][0] in worst for key in running[:3])
    assert known[off][0] not in worst[: worst.index("</table>")]


def test_a_list_in_parts_has_each_guest_once_with_what_it_lost(
    victoria_metrics: str, many: Fleet, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a part has more guests than the store is asked for in one request."""
    at, hosts = NOW - 3 * 86_400, list(Host.objects.visible_to(viewer))
    known = many.known_at(at)
    running = {key for key, (_, _, state) in known.items() if state != "shut_off"}
    lines = "\n".join((*_lost(many, at, dict.fromkeys(running, 0.1)), ""))
    httpx.post(f"{victoria_metrics}/api/v1/import/prometheus", content=lines).raise_for_status()
    httpx.get(f"{victoria_metrics}/internal/force_flush").raise_for_status()
    every = slice(0, 500)

    def lost() -> set[UUID]:
        return {one.guest.uuid for one in part_then(viewer, moment(at), hosts, every).guests if one.steal}

    poll(lambda: len(lost()) >= len(running) > 100, 20, "the figures")
    listed = part_then(viewer, moment(at), hosts, every).guests
    assert lost() == running
    assert {one.guest.uuid: (one.guest.name, one.guest.host_name, one.guest.state) for one in listed} == known
    assert [one.guest.name for one in listed] == sorted(name for name, _, _ in known.values())

    asked: list[str] = []
    ask = query._request

    def heard(path: str, wish: dict[str, str], timeout_s: float) -> list[Any]:
        asked.append(wish["query"])
        return ask(path, wish, timeout_s)

    monkeypatch.setattr(query, "_request", heard)
    parts = [part_then(viewer, moment(at), hosts, slice(begin, begin + 70)) for begin in range(0, GUESTS, 70)]
    assert [one for part in parts for one in part.guests] == listed
    assert {part.total for part in parts} == {len(known)}
    named = "".join(query for query in asked if "delay_seconds" in query)
    assert all(named.count(str(key)) == (key in running) for key in known)  # those of the part alone, each once
    few = queries_of(lambda: part_then(viewer, moment(at), hosts, slice(0, 5)))
    assert queries_of(lambda: part_then(viewer, moment(at), hosts, every)) == few
