"""The cells of a host are brought into balance: shown first, done by one job, and undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from domains.models import Domain
from domains.numa.balance.job import BALANCE
from domains.numa.balance.services import balance, undoable
from domains.numa.job import PLACE
from hosts.models import Host
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.queries import queries_of
from tests.ticks import guest_sample, write_tick
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

GIB = 2**20
CELLS = [
    {"id": 0, "cpus": [0, 1], "memory_kib": 4 * GIB, "distances": [10, 20]},
    {"id": 1, "cpus": [2, 3], "memory_kib": 4 * GIB, "distances": [20, 10]},
]
BEFORE = {"pins": {}, "emulator": [], "mode": "", "cells": []}


@pytest.fixture
def kvm3() -> Host:
    return HostFactory.create(name="kvm3", cpus=4, cells=CELLS)


@pytest.fixture
def guests(kvm3: Host) -> dict[str, Domain]:
    """All of them run in cell 0. One was given CPUs of its own."""
    found = {
        name: DomainFactory.create(host=kvm3, name=name, vcpus=1, memory_kib=GIB, xml="<domain/>")
        for name in ("ci1", "ci2", "db1")
    }
    Domain.objects.filter(pk=found["db1"].pk).update(vcpu_pins={"0": [1]})
    tell(kvm3, found)
    return found


def tell(host: Host, guests: dict[str, Domain], busy: float = 95.0, **more: Any) -> None:
    write_tick(
        host,
        {guest: guest_sample(cpu=60) for guest in guests.values()},
        places={guest: {0: number % 2} for number, guest in enumerate(guests.values())},
        cells=[
            {"cell": 0, "cpu": busy, "mem_free": GIB, "mem_total": 4 * GIB},
            {"cell": 1, "cpu": 3.0, "mem_free": 2 * GIB, "mem_total": 4 * GIB},
        ],
        **more,
    )


def page(client: Client, name: str) -> str:
    answer = client.get(reverse(name, args=["kvm3"]))
    assert answer.status_code == 200
    return answer.content.decode()


def moves(*guests: Domain) -> dict[str, list[str]]:
    return {"move": [f"{guest.pk} 1" for guest in guests]}


def test_the_host_s_page_offers_to_put_it_right(
    operator_client: Client, viewer_client: Client, guests: dict[str, Domain], kvm3: Host
) -> None:
    address = reverse("host-balance", args=["kvm3"])
    assert address in page(operator_client, "host")
    assert address not in page(viewer_client, "host")
    tell(kvm3, guests, busy=50)
    assert address not in page(operator_client, "host")
    tell(kvm3, guests, age_s=3600)
    assert address not in page(operator_client, "host"), "figures of an hour ago say nothing of now"


def test_what_would_be_set_is_shown_first(operator_client: Client, guests: dict[str, Domain]) -> None:
    text = page(operator_client, "host-balance")
    assert "The CPUs of cell 0 are 95 % busy, those of cell 1 only 3 %." in text
    assert "vCPU 0 on CPU 2-3; emulator on CPU 2-3; memory from cell 1 (strict)" in text
    assert f'value="{guests["ci1"].pk} 1"' in text
    assert "65 %" in text
    assert "33 %" in text
    assert "Its vCPUs are pinned to some CPUs of a cell, which somebody chose." in text
    assert "Place 1 guest so" in text
    assert reverse("host-balance-now", args=["kvm3"]) in text
    assert not Job.objects.exists()


def test_that_a_guest_is_placed_only_with_its_memory_is_said(
    operator_client: Client, guests: dict[str, Domain]
) -> None:
    words = "is placed only if its host moves its memory, too."
    assert words not in page(operator_client, "host-balance")
    policy = "<domain><numatune><memory mode='restrictive' nodeset='0'/></numatune></domain>"
    Domain.objects.filter(pk=guests["ci1"].pk).update(xml=policy, numa_cells=[0])
    assert words in page(operator_client, "host-balance")


def test_why_nothing_is_proposed_is_said(operator_client: Client, guests: dict[str, Domain], kvm3: Host) -> None:
    tell(kvm3, guests, busy=50)
    assert "The CPUs of kvm3&#x27;s cells are in balance." in page(operator_client, "host-balance")
    tell(kvm3, guests, age_s=3600)
    text = page(operator_client, "host-balance")
    assert "How busy the cells of kvm3 are is not known now." in text
    assert "95 %" not in text, "it was an hour ago"
    tell(kvm3, {"db1": guests["db1"]})
    text = page(operator_client, "host-balance")
    assert "No guest that you may operate can be moved so that it gets better." in text
    assert reverse("host-balance-now", args=["kvm3"]) not in text


def test_confirming_makes_one_job(operator_client: Client, guests: dict[str, Domain]) -> None:
    answer = operator_client.post(reverse("host-balance-now", args=["kvm3"]), moves(guests["ci1"], guests["ci2"]))
    job = Job.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("job", args=[job.pk]))
    assert (job.kind, job.label, job.target_kind) == ("host.balance", "Balance the cells of kvm3", "host")
    assert [(move["name"], move["after"]["cells"]) for move in job.parameters["moves"]] == [("ci1", [1]), ("ci2", [1])]


@pytest.mark.parametrize(
    ("sent", "status"), [([], 400), (["x 1"], 400), (["{ci1}"], 400), (["{ci1} x"], 400), (["{ci1} 7"], 400)]
)
def test_what_a_browser_sends_is_not_trusted(
    operator_client: Client, guests: dict[str, Domain], sent: list[str], status: int
) -> None:
    wrong = [one.format(ci1=guests["ci1"].pk) for one in sent]
    answer = operator_client.post(reverse("host-balance-now", args=["kvm3"]), {"move": wrong})
    assert answer.status_code == status
    assert not Job.objects.exists()


def test_guests_of_other_hosts_and_those_that_do_not_fit_are_refused(
    operator_client: Client, guests: dict[str, Domain]
) -> None:
    address = reverse("host-balance-now", args=["kvm3"])
    assert operator_client.post(address, moves(DomainFactory.create())).status_code == 409
    Domain.objects.filter(pk=guests["ci1"].pk).update(vcpus=3)
    answer = operator_client.post(address, moves(guests["ci2"], guests["ci1"]))
    assert answer.status_code == 409
    assert "cell 1 has 2 CPUs" in answer.content.decode()
    assert not Job.objects.exists()


def test_each_guest_needs_the_right_to_operate_it(
    client_of: Callable[[User], Client], viewer_client: Client, guests: dict[str, Domain], kvm3: Host
) -> None:
    for name in ("host-balance-now", "host-balance-undo"):
        assert viewer_client.post(reverse(name, args=["kvm3"])).status_code == 403
    assert viewer_client.get(reverse("host-balance", args=["kvm3"])).status_code == 403
    person = UserFactory.create(role=Role.VIEWER)
    Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(guests["ci2"].pk))
    client = client_of(person)
    text = page(client, "host-balance")
    assert f'value="{guests["ci2"].pk} 1"' in text
    assert f'value="{guests["ci1"].pk} 1"' not in text
    assert client.post(reverse("host-balance-now", args=["kvm3"]), moves(guests["ci1"])).status_code == 403
    assert not Job.objects.exists()


@pytest.fixture
def done(guests: dict[str, Domain], kvm3: Host) -> Job:
    """It placed two guests."""
    job: Job = JobFactory.create(
        kind=BALANCE.name, state="succeeded", target_kind="host", target_id=str(kvm3.pk), target_name="kvm3",
        label="Balance the cells of kvm3", parameters={"moves": []}, finished_at=timezone.now(),
    )  # fmt: skip
    for name in ("ci1", "ci2"):
        JobFactory.create(
            domain=guests[name], kind=PLACE.name, state="succeeded", parent=job, label=f"Place {name} in cell 1",
            parameters={"after": BEFORE, "before": BEFORE}, finished_at=timezone.now(),
        )  # fmt: skip
    return job


def test_the_last_balancing_can_be_undone(
    operator_client: Client, viewer_client: Client, guests: dict[str, Domain], done: Job
) -> None:
    assert "Undo the last balancing" in page(operator_client, "host")
    assert "Undo the last balancing" not in page(viewer_client, "host")
    operator_client.post(reverse("host-balance-undo", args=["kvm3"]))
    job = Job.objects.get(state="queued")
    assert job.label == "Undo: Balance the cells of kvm3"
    assert {move["name"] for move in job.parameters["moves"]} == {"ci1", "ci2"}


def test_what_is_undone_is_not_undone_again(
    operator_client: Client, operator: User, kvm3: Host, guests: dict[str, Domain], done: Job
) -> None:
    """That would be to balance once more."""
    undone = JobFactory.create(
        kind=BALANCE.name, state="succeeded", target_kind="host", target_id=str(kvm3.pk), target_name="kvm3",
        label="Undo: Balance the cells of kvm3", finished_at=timezone.now(),
        parameters={"moves": [{"undoes": str(part.pk)} for part in done.children.all()]},
    )  # fmt: skip
    for name in ("ci1", "ci2"):
        JobFactory.create(
            domain=guests[name], kind=PLACE.name, state="succeeded", parent=undone,
            parameters={"after": BEFORE, "before": BEFORE}, finished_at=timezone.now(),
        )  # fmt: skip
    assert "Undo the last balancing" not in page(operator_client, "host")
    calls = Caller(operator)
    told = calls.get("/hosts/kvm3/balance").json()
    assert (told["can_undo"], told["last"]) == (False, None)
    assert calls.post("/hosts/kvm3/balance/undo").status_code == 409


def test_who_may_not_see_the_job_may_undo_their_part_of_it(
    client_of: Callable[[User], Client], guests: dict[str, Domain], done: Job
) -> None:
    person = UserFactory.create(role=Role.VIEWER)
    Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(guests["ci2"].pk))
    text = page(client_of(person), "host")
    assert "Undo the last balancing" in text
    assert "Balance the cells of kvm3" not in text
    calls = Caller(person)
    told = calls.get("/hosts/kvm3/balance").json()
    assert (told["can_undo"], told["last"]) == (True, None)
    answer = calls.post("/hosts/kvm3/balance/undo")
    assert answer.status_code == 202
    assert [move["name"] for move in Job.objects.get(state="queued").parameters["moves"]] == ["ci2"]


def test_the_number_of_queries_does_not_grow_with_what_was_done_before(
    operator: User, kvm3: Host, guests: dict[str, Domain], done: Job
) -> None:
    undoable(kvm3, operator)  # their rights are read once
    few = queries_of(lambda: undoable(kvm3, operator))
    for _ in range(3):
        JobFactory.create(
            kind=BALANCE.name, state="succeeded", target_kind="host", target_id=str(kvm3.pk), target_name="kvm3",
            parameters={"moves": []}, finished_at=timezone.now(),
        )  # fmt: skip
        guest = DomainFactory.create(host=kvm3)
        JobFactory.create(domain=guest, kind=PLACE.name, state="failed", parent=Job.objects.latest("created_at"))
    last = undoable(kvm3, operator)
    assert last is not None
    assert last.job == done
    assert queries_of(lambda: undoable(kvm3, operator)) == few


def test_the_right_to_many_guests_is_asked_at_once(operator: User, kvm3: Host, guests: dict[str, Domain]) -> None:
    few = queries_of(lambda: balance(host=kvm3, cells={guests["ci1"].pk: 1}, user=person_of(guests)))
    Job.objects.all().delete()
    cells = dict.fromkeys((guest.pk for guest in guests.values()), 1)
    assert queries_of(lambda: balance(host=kvm3, cells=cells, user=person_of(guests))) == few


def person_of(guests: dict[str, Domain]) -> User:
    """They may operate these guests, and no others."""
    person: User = UserFactory.create(role=Role.VIEWER)
    for guest in guests.values():
        Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(guest.pk))
    return person


def test_a_guest_that_was_placed_since_is_not_undone(
    operator_client: Client, guests: dict[str, Domain], done: Job
) -> None:
    JobFactory.create(
        domain=guests["ci1"], kind=PLACE.name, state="succeeded", parameters={"before": BEFORE},
        finished_at=timezone.now(),
    )  # fmt: skip
    operator_client.post(reverse("host-balance-undo", args=["kvm3"]))
    assert [move["name"] for move in Job.objects.get(state="queued").parameters["moves"]] == ["ci2"]


def test_nothing_to_undo_is_said(operator_client: Client, guests: dict[str, Domain]) -> None:
    answer = operator_client.post(reverse("host-balance-undo", args=["kvm3"]), follow=True)
    assert "No guest on kvm3 is as a balancing placed it" in answer.content.decode()


def test_scripts_do_the_same(operator: User, viewer: User, guests: dict[str, Domain]) -> None:
    calls = Caller(operator)
    told = calls.get("/hosts/kvm3/balance").json()
    assert [(one["guest"], one["cell"]) for one in told["moves"]] == [("ci1", 1)]
    assert [(one["number"], round(one["after"])) for one in told["cells"]] == [(0, 65), (1, 33)]
    assert [one["guest"] for one in told["staying"]] == ["db1"]
    assert (told["obstacle"], told["last"]) == ("", None)
    wish = {"moves": [{"uuid": str(guests["ci1"].pk), "cell": 1}]}
    assert Caller(viewer).post("/hosts/kvm3/balance", wish).status_code == 403
    answer = calls.post("/hosts/kvm3/balance", wish)
    assert (answer.status_code, answer.json()["label"]) == (202, "Balance the cells of kvm3")


def test_scripts_undo_it(operator: User, done: Job) -> None:
    calls = Caller(operator)
    assert calls.get("/hosts/kvm3/balance").json()["last"]["id"] == str(done.pk)
    answer = calls.post("/hosts/kvm3/balance/undo")
    assert (answer.status_code, answer.json()["label"]) == (202, "Undo: Balance the cells of kvm3")
