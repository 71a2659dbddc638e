"""What the collector saw of guests, as rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from domains.inventory import DatabaseInventory
from domains.models import Domain, GuestEvent, Sighting
from hosts.collector.inventory import (
    AgentState,
    GuestMissing,
    GuestSeen,
    HostSwept,
    Observation,
    Outcome,
    SeenAgent,
)
from hosts.models import Host
from tests.collector.seen import MOVING, PAUSED, RUNNING, SHUT_OFF, definition, facts, in_full, state
from tests.factories import HostFactory, TagFactory
from vmdash.virt.agent import GuestUser

pytestmark = pytest.mark.django_db


@pytest.fixture
def kvm1() -> Host:
    return HostFactory.create(name="kvm1")


@pytest.fixture
def kvm2() -> Host:
    return HostFactory.create(name="kvm2")


@pytest.fixture
def uuid() -> UUID:
    return uuid4()


def record(*observations: tuple[Host, Observation]) -> Outcome:
    return DatabaseInventory().record(observations)


def sweep(host: Host, *uuids: UUID) -> tuple[Host, HostSwept]:
    return host, HostSwept(frozenset(map(str, uuids)), timezone.now())


def missing(host: Host, uuid: UUID) -> tuple[Host, GuestMissing]:
    return host, GuestMissing(str(uuid), timezone.now())


def kinds(outcome: Outcome) -> list[str]:
    return [message["type"] for _, message in outcome.messages]


def test_a_new_guest_gets_a_row_with_everything_libvirt_tells(kvm1: Host, uuid: UUID) -> None:
    seen = replace(in_full(uuid), definition=definition(uuid, title="Shop", port=5901))

    outcome = record((kvm1, seen))

    guest = Domain.objects.get()
    assert (guest.uuid, guest.host, guest.name, guest.title) == (uuid, kvm1, "web1", "Shop")
    assert (guest.state, guest.state_reason, guest.state_since_known) == ("running", "booted", False)
    assert (guest.vcpus, guest.max_vcpus, guest.memory_kib) == (2, 2, 524288)
    assert (guest.domain_type, guest.arch, guest.machine) == ("kvm", "x86_64", "pc-q35-7.2")
    assert guest.disks == [
        {
            "target": "vda",
            "bus": "virtio",
            "device": "disk",
            "source": "/images/a.qcow2",
            "format": "qcow2",
            "readonly": False,
            "backing": [],
            "limits": {},
            "limit_group": "",
        }
    ]
    assert guest.interfaces[0]["mac"] == "52:54:00:00:00:01"
    assert guest.graphics == [{"kind": "vnc", "listen": "127.0.0.1", "port": 5901, "autoport": True}]
    assert guest.has_serial
    assert guest.numa_cells == [0, 2]
    assert "5901" not in guest.xml
    [(to, message)] = outcome.messages
    assert to == ["fleet", f"host.{kvm1.pk}"]
    assert message["type"] == "guest"
    assert message["row"]["name"] == "web1"


def test_what_is_known_already_is_neither_written_nor_told(
    kvm1: Host, uuid: UUID, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    seen = in_full(uuid)
    record((kvm1, seen))

    with django_assert_num_queries(1):  # the row with its sightings
        outcome = record((kvm1, replace(seen, at=timezone.now())))

    assert outcome == Outcome()


def test_many_guests_cost_no_more_reading_than_one(
    kvm1: Host, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(9):
        record(*((kvm1, in_full(uuid4())) for _ in range(40)))

    assert Domain.objects.count() == 40


def test_many_guests_that_change_cost_no_more_statements_than_one_and_keep_what_people_wrote(
    kvm1: Host, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    guests = [uuid4() for _ in range(40)]
    record(*((kvm1, replace(in_full(uuid), definition=None)) for uuid in guests))
    Domain.objects.update(owner="Ann", note="Shop")
    seen = [replace(state(uuid, RUNNING), definition=definition(uuid, title=f"Web {uuid}")) for uuid in guests[:39]]

    with django_assert_max_num_queries(12):
        outcome = record(*((kvm1, one) for one in seen), (kvm1, state(guests[39], PAUSED)))

    assert kinds(outcome) == ["guest"] * 40
    rows = Domain.objects.in_bulk()
    assert {(rows[uuid].title, rows[uuid].state) for uuid in guests[:39]} == {
        (f"Web {uuid}", "running") for uuid in guests[:39]
    }
    assert all(str(uuid) in rows[uuid].xml for uuid in guests[:39])
    assert (rows[guests[39]].title, rows[guests[39]].xml, rows[guests[39]].state) == ("", "", "paused")
    assert {(row.name, row.owner, row.note, row.vcpus) for row in rows.values()} == {("web1", "Ann", "Shop", 2)}


def test_a_change_that_was_seen_tells_since_when(kvm1: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))
    at = timezone.now() + timedelta(seconds=5)

    record((kvm1, state(uuid, PAUSED, at=at)))

    guest = Domain.objects.get()
    assert (guest.state, guest.state_reason) == ("paused", "user")
    assert (guest.state_since, guest.state_since_known) == (at, True)


def test_a_change_that_was_missed_says_so(kvm1: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))

    record((kvm1, state(uuid, SHUT_OFF, witnessed=False)))

    assert not Domain.objects.get().state_since_known


def test_a_restart_begins_the_state_anew(kvm1: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))
    again = replace(state(uuid, RUNNING), restarted=True)

    record((kvm1, again))

    assert Domain.objects.get().state_since == again.at


def test_another_reason_for_the_same_state_keeps_the_time(kvm1: Host, uuid: UUID) -> None:
    first = in_full(uuid)
    record((kvm1, first))

    record((kvm1, state(uuid, replace(RUNNING, reason="unpaused"))))

    guest = Domain.objects.get()
    assert (guest.state_reason, guest.state_since) == ("unpaused", first.at)


def test_several_changes_in_one_batch_end_with_the_last(kvm1: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))

    outcome = record((kvm1, state(uuid, SHUT_OFF)), (kvm1, state(uuid, RUNNING)))

    assert Domain.objects.get().state == "running"
    assert Sighting.objects.get().state == "running"
    assert kinds(outcome) == ["guest"]


def test_a_rename_keeps_the_row_and_its_tags(kvm1: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))
    Domain.objects.get().tags.add(TagFactory.create(name="shop"))

    record((kvm1, replace(state(uuid, RUNNING), facts=facts(uuid, name="shop1"))))

    guest = Domain.objects.get()
    assert guest.name == "shop1"
    assert guest.tags.get().name == "shop"


def test_an_undefined_guest_is_gone_and_comes_back_with_its_tags(kvm1: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))
    Domain.objects.get().tags.add(TagFactory.create(name="shop"))

    outcome = record(missing(kvm1, uuid))

    assert kinds(outcome) == ["guest_gone"]
    assert not Domain.objects.present().exists()
    assert not Sighting.objects.exists()

    outcome = record((kvm1, in_full(uuid, SHUT_OFF, witnessed=True)))

    assert kinds(outcome) == ["guest"]
    guest = Domain.objects.present().get()
    assert (guest.state, guest.tags.get().name) == ("shut_off", "shop")


def test_nothing_is_said_of_a_stranger_that_is_missing(kvm1: Host, uuid: UUID) -> None:
    assert record(missing(kvm1, uuid)) == Outcome()


def test_a_state_alone_makes_no_row_but_asks_for_more(kvm1: Host, uuid: UUID) -> None:
    outcome = record((kvm1, state(uuid, RUNNING)))

    assert outcome == Outcome(wanted={(kvm1.pk, str(uuid))})
    assert not Domain.objects.exists()


def test_a_sweep_finds_who_went_away_unseen(kvm1: Host, uuid: UUID) -> None:
    other = uuid4()
    record((kvm1, in_full(uuid)), (kvm1, in_full(other, name="web2")))

    outcome = record(sweep(kvm1, other))

    assert kinds(outcome) == ["guest_gone"]
    assert Domain.objects.present().get().uuid == other


def test_a_sweep_asks_for_guests_that_have_no_row(kvm1: Host, uuid: UUID) -> None:
    assert record(sweep(kvm1, uuid)).wanted == {(kvm1.pk, str(uuid))}


def test_a_sweep_asks_for_nobody_who_came_with_it(kvm1: Host, uuid: UUID) -> None:
    assert not record((kvm1, in_full(uuid)), sweep(kvm1, uuid)).wanted


def test_a_live_migration_moves_the_row_and_is_no_split_brain(kvm1: Host, kvm2: Host, uuid: UUID) -> None:
    first = in_full(uuid)
    record((kvm1, first))
    Domain.objects.get().tags.add(TagFactory.create(name="shop"))

    record((kvm2, in_full(uuid, MOVING)))
    arriving = Domain.objects.get()
    assert (arriving.host, arriving.state, arriving.split_brain) == (kvm1, "running", False)

    outcome = record((kvm2, state(uuid, replace(RUNNING, reason="migrated"))))  # before the source says that it ended
    arrived = Domain.objects.get()
    assert (arrived.host, arrived.state_reason, arrived.split_brain) == (kvm2, "migrated", False)
    assert outcome.wanted == {(kvm2.pk, str(uuid))}
    [(to, _)] = outcome.messages
    assert to == ["fleet", f"host.{kvm1.pk}", f"host.{kvm2.pk}"]

    record((kvm1, state(uuid, MOVING)))
    record((kvm1, state(uuid, replace(SHUT_OFF, reason="migrated"))))
    record(missing(kvm1, uuid))
    moved = Domain.objects.get()
    assert (moved.host, moved.state, moved.tags.get().name) == (kvm2, "running", "shop")
    assert moved.state_since == first.at


def test_a_migration_whose_source_runs_on_is_a_split_brain_at_the_next_sweep(
    kvm1: Host, kvm2: Host, uuid: UUID
) -> None:
    record((kvm1, in_full(uuid)), (kvm2, in_full(uuid, replace(RUNNING, reason="migrated"))))
    assert not Domain.objects.get().split_brain

    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        record(sweep(kvm1, uuid))

    assert Domain.objects.get().split_brain


def test_a_guest_that_stops_where_it_ran_is_found_where_it_is_defined(kvm1: Host, kvm2: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)), (kvm2, in_full(uuid, SHUT_OFF)))

    outcome = record(missing(kvm1, uuid))

    guest = Domain.objects.get()
    assert (guest.host, guest.state, guest.gone_at) == (kvm2, "shut_off", None)
    assert outcome.wanted == {(kvm2.pk, str(uuid))}


def test_what_another_host_says_of_a_guest_does_not_touch_its_row(kvm1: Host, kvm2: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))

    record((kvm2, in_full(uuid, SHUT_OFF, name="copy")))

    guest = Domain.objects.get()
    assert (guest.host, guest.name, guest.state) == (kvm1, "web1", "running")


def test_running_on_two_hosts_is_a_split_brain_until_one_ends(kvm1: Host, kvm2: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))

    outcome = record((kvm2, in_full(uuid)))

    assert Domain.objects.get().split_brain
    assert outcome.messages[0][1]["row"]["split_brain"]  # type: ignore[typeddict-item]

    record((kvm2, state(uuid, SHUT_OFF)))
    guest = Domain.objects.get()
    assert (guest.host, guest.split_brain) == (kvm1, False)


def test_a_sweep_sees_that_a_split_brain_began_with_the_return_of_a_host(kvm1: Host, kvm2: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))
    kvm1.state = Host.State.UNREACHABLE
    kvm1.save()
    record((kvm2, in_full(uuid)))
    guest = Domain.objects.get()
    assert (guest.host, guest.split_brain) == (kvm2, False)
    kvm1.state = Host.State.UP
    kvm1.save()

    record(sweep(kvm1, uuid))

    assert Domain.objects.get().split_brain


def test_addresses_that_nobody_could_ask_for_stay(kvm1: Host, uuid: UUID) -> None:
    told = SeenAgent(AgentState.CONNECTED, ("10.0.0.5",), "Debian GNU/Linux 12")
    record((kvm1, replace(in_full(uuid), agent=told)))

    record((kvm1, GuestSeen(str(uuid), timezone.now(), RUNNING, False, agent=SeenAgent(AgentState.SILENT))))

    guest = Domain.objects.get()
    assert (guest.agent, guest.addresses, guest.os_name) == ("silent", ["10.0.0.5"], "Debian GNU/Linux 12")


def test_who_is_logged_in_is_known_only_while_the_agent_tells(kvm1: Host, uuid: UUID) -> None:
    since = datetime(2026, 3, 1, 9, 12, tzinfo=UTC)
    told = SeenAgent(AgentState.CONNECTED, users=(GuestUser("anna", since), GuestUser("ben", None)))
    record((kvm1, replace(in_full(uuid), agent=told)))
    assert Domain.objects.get().logged_in == [
        {"name": "anna", "since": "2026-03-01T09:12:00+00:00"},
        {"name": "ben", "since": None},
    ]

    record((kvm1, GuestSeen(str(uuid), timezone.now(), RUNNING, False, agent=SeenAgent(AgentState.SILENT))))
    assert Domain.objects.get().logged_in is None


def events() -> list[tuple[str, str, str]]:
    return [(event.kind, event.state, event.host_name) for event in GuestEvent.objects.order_by("pk")]


def test_each_change_of_state_and_place_is_remembered(kvm1: Host, kvm2: Host, uuid: UUID) -> None:
    record((kvm1, in_full(uuid)))
    record((kvm1, state(uuid, PAUSED)), (kvm1, state(uuid, RUNNING)))
    record((kvm1, state(uuid, RUNNING)))
    record((kvm2, in_full(uuid)), missing(kvm1, uuid))
    record(missing(kvm2, uuid))
    record((kvm2, in_full(uuid)))

    assert events() == [
        ("seen", "running", "kvm1"),
        ("state", "paused", "kvm1"),
        ("state", "running", "kvm1"),
        ("moved", "running", "kvm2"),
        ("gone", "running", "kvm2"),
        ("seen", "running", "kvm2"),
    ]
