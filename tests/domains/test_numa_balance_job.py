"""What becomes of a balancing whose host falls silent, that is cancelled, or that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from domains.models import Domain
from domains.numa.balance.job import BALANCE
from domains.numa.job import PLACE
from hosts.models import Host
from tests.factories import DomainFactory, HostFactory, JobFactory
from vmdash.access.models import User
from vmdash.jobs import execution, registry, services
from vmdash.jobs.context import JobContext
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

AFTER = {"pins": {"0": [2, 3]}, "emulator": [], "mode": "strict", "cells": [1]}

Placing = Callable[[Callable[[JobContext], None]], None]


@pytest.fixture
def guests() -> list[Domain]:
    host = HostFactory.create(name="kvm3", cpus=4)
    return [DomainFactory.create(host=host, name=name) for name in ("ci1", "ci2")]


@pytest.fixture
def placing(monkeypatch: pytest.MonkeyPatch) -> Placing:
    """Has each guest placed by a function instead."""

    def use(run: Callable[[JobContext], None]) -> None:
        monkeypatch.setitem(registry._kinds, PLACE.name, replace(PLACE, run=run))

    return use


def balancing(guests: list[Domain], operator: User, state: str = "queued", **more: str) -> Job:
    host = guests[0].host
    moves = [{"guest": str(one.pk), "name": one.name, **(more or {"after": AFTER})} for one in guests]
    job: Job = JobFactory.create(
        kind=BALANCE.name, state=state, requested_by=operator, label="Balance the cells of kvm3", target_kind="host",
        target_id=str(host.pk), target_name=host.name, host_name=host.name, parameters={"moves": moves},
    )  # fmt: skip
    return job


def part_of(job: Job, guest: Domain, state: str) -> Job:
    part: Job = JobFactory.create(
        domain=guest, kind=PLACE.name, state=state, parent=job, label=f"Place {guest.name} in cell 1",
        parameters={"after": AFTER, "before": AFTER},
    )  # fmt: skip
    return part


def carried(job: Job) -> Job:
    execution.execute(job)
    job.refresh_from_db()
    return job


def test_while_its_host_is_silent_it_holds_no_worker_and_is_asked_again(guests: list[Domain], operator: User) -> None:
    job = balancing(guests, operator)
    part = part_of(job, guests[0], "lost")
    Host.objects.filter(name="kvm3").update(state=Host.State.UNREACHABLE)
    assert carried(job).state == "lost"
    lines = job.lines.count()
    assert carried(job).state == "lost"
    assert "It waits for “Place ci1 in cell 1” to be cleared up." in job.phase
    assert job.lines.count() == lines, "it is looked at every few seconds"
    assert job.children.get() == part


def test_it_goes_on_once_that_is_known(guests: list[Domain], operator: User, placing: Placing) -> None:
    placing(lambda ctx: None)
    job = balancing(guests, operator, "lost")
    part_of(job, guests[0], "succeeded")
    assert carried(job).state == "succeeded"
    assert set(job.children.values_list("target_name", "state")) == {("ci1", "succeeded"), ("ci2", "succeeded")}


def test_it_is_cancelled_between_guests(guests: list[Domain], operator: User, placing: Placing) -> None:
    placing(lambda ctx: services.cancel(job=Job.objects.get(children=ctx.job), user=operator))
    job = balancing(guests, operator)
    assert carried(job).state == "cancelled"
    assert (job.children.get().target_name, job.children.get().state) == ("ci1", "succeeded")


def test_one_that_waits_for_a_silent_host_is_cancelled_and_lets_the_host_go(
    guests: list[Domain], operator: User
) -> None:
    job = balancing(guests, operator, "lost")
    begun, waiting = part_of(job, guests[0], "lost"), part_of(job, guests[1], "queued")
    services.cancel(job=job, user=operator)
    assert carried(job).state == "cancelled"
    assert set(job.children.values_list("pk", "state")) == {(begun.pk, "lost"), (waiting.pk, "cancelled")}
    assert services.in_the_way(services.Target("host", job.target_id, "kvm3")) is None


def test_a_guest_is_moved_only_with_its_memory(guests: list[Domain], operator: User, placing: Placing) -> None:
    placing(lambda ctx: None)
    job = carried(balancing(guests, operator))
    assert [part.parameters["with_memory"] for part in job.children.all()] == [True, True]


@pytest.mark.parametrize(
    ("done", "words", "others"),
    [
        ("after", "could not be placed.", "The others are placed; the page of the host undoes that."),
        ("undoes", "could not be put back.", "The others are put back."),
    ],
)
def test_what_failed_is_called_what_it_was(
    guests: list[Domain], operator: User, placing: Placing, done: str, words: str, others: str
) -> None:
    placing(lambda ctx: None)
    last = part_of(balancing(guests, operator, "succeeded"), guests[0], "succeeded")
    job = balancing(guests, operator, **({"undoes": str(last.pk)} if done == "undoes" else {}))
    job.parameters["moves"][1]["guest"] = str(uuid4())
    job.save()
    assert carried(job).state == "failed"
    assert job.error.startswith(f"1 of 2 guests {words} ci2: It is not on kvm3 any more.")
    assert job.error.endswith(others)
