"""The one thread that writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from domains.inventory import DatabaseInventory
from domains.models import Domain
from hosts.collector import writer as writer_module
from hosts.collector.inventory import Observation, Outcome
from hosts.collector.writer import ConnectionSeen, HostSeen, Lease, Writer
from hosts.models import Host
from tests.collector.seen import RUNNING, in_full
from tests.factories import HostFactory
from tests.polling import poll

pytestmark = pytest.mark.django_db(transaction=True)


class Running:
    """A writer at work, and what it delivered. `failures` are raised by the inventory, one at a time."""

    def __init__(self) -> None:
        self.delivered: list[Outcome] = []
        self.failures: list[Exception] = []
        self.attempts = 0
        self._inventory = DatabaseInventory()
        self.writer = Writer(self, self.delivered.append)

    def record(self, observations: Sequence[tuple[Host, Observation]]) -> Outcome:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        return self._inventory.record(observations)

    @property
    def messages(self) -> list[str]:
        return [message["type"] for outcome in self.delivered for _, message in outcome.messages]


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    running.writer.start()
    yield running
    running.writer.stop(5)


@pytest.fixture
def host() -> Host:
    return HostFactory.create(name="kvm1", lease_token=7)


def test_what_is_submitted_is_written_and_then_told(running: Running, host: Host) -> None:
    running.writer.submit(Lease(host.pk, 7), in_full(uuid4()), HostSeen({"hostname": "kvm1.example.org"}))

    poll(lambda: len(running.delivered) == 1, what="the delivery")
    assert running.messages == ["guest"]
    assert Domain.objects.get().host == host
    host.refresh_from_db()
    assert host.hostname == "kvm1.example.org"


def test_a_change_of_the_connection_is_announced_once(running: Running, host: Host) -> None:
    lost = ConnectionSeen(Host.State.UNREACHABLE, "Nobody answers.", timezone.now())

    running.writer.submit(Lease(host.pk, 7), lost, replace(lost, at=timezone.now()))

    poll(lambda: running.messages, what="the delivery")
    [(to, message)] = [one for outcome in running.delivered for one in outcome.messages]
    assert to == ["fleet", f"host.{host.pk}"]
    assert message["type"] == "host"
    assert (message["state"], message["reason"]) == ("unreachable", "Nobody answers.")
    host.refresh_from_db()
    assert host.state_since == lost.at


def test_another_reason_is_told_without_a_new_time(running: Running, host: Host) -> None:
    since = host.state_since

    running.writer.submit(Lease(host.pk, 7), ConnectionSeen(Host.State.UP, "Slow.", timezone.now()))

    poll(lambda: running.messages == ["host"], what="the message")
    host.refresh_from_db()
    assert (host.state_reason, host.state_since) == ("Slow.", since)


def test_a_newer_lease_is_remembered_and_an_older_one_may_not_write_any_more(running: Running, host: Host) -> None:
    old, new = Lease(host.pk, 7), Lease(host.pk, 8)
    running.writer.submit(new, HostSeen({"hostname": "new"}))
    poll(lambda: len(running.delivered) == 1, what="the new lease's write")

    running.writer.submit(old, HostSeen({"hostname": "old"}), in_full(uuid4()))

    poll(lambda: len(running.delivered) == 2, what="the old lease's write")
    host.refresh_from_db()
    assert (host.hostname, host.lease_token) == ("new", 8)
    assert not Domain.objects.exists()
    assert running.messages == []


def test_nothing_is_written_about_a_host_that_was_removed(running: Running, host: Host) -> None:
    lease = Lease(host.pk, 7)
    host.delete()

    running.writer.submit(lease, in_full(uuid4()))

    poll(lambda: running.delivered, what="the delivery")
    assert not Domain.objects.exists()


def test_while_the_database_is_away_it_tries_again(
    running: Running, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RETRY_S", 0.01)
    running.failures = [OperationalError("database is locked")] * 2

    running.writer.submit(Lease(host.pk, 7), in_full(uuid4()))

    poll(lambda: running.delivered, what="the delivery")
    assert Domain.objects.count() == 1


def test_a_clash_with_another_collector_is_tried_again_at_once(running: Running, host: Host) -> None:
    running.failures = [IntegrityError("there is such a guest already")]

    running.writer.submit(Lease(host.pk, 7), in_full(uuid4()))

    poll(lambda: running.delivered, what="the delivery")
    assert Domain.objects.count() == 1


def test_what_cannot_be_written_does_not_keep_the_rest_from_being_written(host: Host) -> None:
    running = Running()
    good, bad = in_full(uuid4(), name="good"), in_full(uuid4(), name="bad")
    record = running.record

    def refuse_bad(observations: Sequence[tuple[Host, Observation]]) -> Outcome:
        if any(observation is bad for _, observation in observations):
            raise ValueError("bad")
        return record(observations)

    running.record = refuse_bad  # type: ignore[method-assign]
    running.writer.submit(Lease(host.pk, 7), good, bad)
    running.writer.start()

    poll(lambda: running.delivered, what="the delivery")
    running.writer.stop(5)
    assert Domain.objects.get().name == "good"


def test_what_queued_up_goes_into_one_transaction(host: Host) -> None:
    running = Running()
    running.writer.submit(Lease(host.pk, 7), *(in_full(uuid4(), RUNNING) for _ in range(20)))

    running.writer.start()

    poll(lambda: running.delivered, what="the delivery")
    running.writer.stop(5)
    assert running.attempts == 1
    assert Domain.objects.count() == 20


def test_stopping_writes_what_is_queued(host: Host) -> None:
    running = Running()
    running.writer.start()
    running.writer.submit(Lease(host.pk, 7), in_full(uuid4()))

    running.writer.stop(5)

    assert Domain.objects.count() == 1
    assert all(thread.name != "writer" for thread in threading.enumerate())


def test_what_fills_a_transaction_does_not_wait_for_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATHER_S", "GATHER_AT_MOST_S"):
        monkeypatch.setattr(writer_module, name, 3600)
    delivered: list[Outcome] = []
    writer = Writer(DatabaseInventory(), delivered.append, at_once=2)
    writer.submit(Lease(host.pk, 7), *(in_full(uuid4()) for _ in range(6)))
    writer.start()
    try:
        poll(lambda: len(delivered) == 3, what="three transactions")
    finally:
        writer.stop(5)
