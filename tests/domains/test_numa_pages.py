"""Cells, vCPUs and what is wrong with them on the pages; and the job that puts it right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
from django.test import Client
from django.urls import reverse

from domains.models import Domain
from domains.numa.job import PLACE, words_of
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.ticks import guest_sample, write_tick
from vmdash.access.models import Grant, User
from vmdash.access.reach import Scope
from vmdash.access.roles import Role
from vmdash.jobs import execution
from vmdash.jobs.models import Job
from vmdash.live.messages import CellSample
from vmdash.virt.errors import InvalidState
from vmdash.virt.placement import Applied

pytestmark = pytest.mark.django_db

MIB = 2**10
CELLS = [
    {"id": 0, "cpus": [0, 1], "memory_kib": 1024 * MIB, "distances": [10, 20]},
    {"id": 1, "cpus": [2, 3], "memory_kib": 1024 * MIB, "distances": [20, 10]},
]


@pytest.fixture
def wrong() -> Domain:
    """Its memory comes from cell 0, its vCPU is pinned to cell 1."""
    host = HostFactory.create(name="kvm3", cpus=4, cells=CELLS)
    guest = DomainFactory.create(
        host=host, name="cache1", vcpus=1, memory_kib=96 * MIB, numa_cells=[0], vcpu_pins={"0": [2]}
    )
    write_tick(host, {guest: guest_sample()}, places={guest: {0: 2}}, looked_age_s=200)
    return guest


def page(client: Client, name: str, *arguments: object) -> str:
    answer = client.get(reverse(name, args=arguments))
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_guest_s_page_says_what_is_wrong_and_offers_to_put_it_right(operator_client: Client, wrong: Domain) -> None:
    headline = "Its vCPU is pinned to CPU 2 in cell 1, but its memory comes from cell 0."
    assert headline in page(operator_client, "guest", wrong.pk)
    text = page(operator_client, "guest-tab", wrong.pk, "cpu")
    assert headline in text
    assert "Put it right…" in text


def test_a_viewer_sees_it_but_may_not_change_it(viewer_client: Client, wrong: Domain) -> None:
    assert "Put it right" not in page(viewer_client, "guest-tab", wrong.pk, "cpu")
    assert viewer_client.get(reverse("guest-place", args=[wrong.pk])).status_code == 403
    assert viewer_client.post(reverse("guest-place-now", args=[wrong.pk])).status_code == 403
    assert viewer_client.post(reverse("guest-place-undo", args=[wrong.pk])).status_code == 403
    assert not Job.objects.exists()


def test_strangers_are_sent_to_sign_in(client: Client, nobody_client: Client, wrong: Domain) -> None:
    assert client.get(reverse("guest-place", args=[wrong.pk])).status_code == 302
    assert nobody_client.get(reverse("guest-place", args=[wrong.pk])).status_code in (403, 404)


def test_the_host_s_page_draws_vcpus_where_they_are(viewer_client: Client, wrong: Domain) -> None:
    text = page(viewer_client, "host", "kvm3")
    assert "cache1: " in text.replace("</a>", "")
    assert 'class="vcpu away"' in text


def test_pages_say_how_long_ago_it_was_looked_where_vcpus_are(viewer_client: Client, wrong: Domain) -> None:
    for text in (page(viewer_client, "host", "kvm3"), page(viewer_client, "guest-tab", wrong.pk, "cpu")):
        assert re.search(r"[Aa]s they were <time[^>]*>3 min", text)


def test_before_the_first_look_they_say_so(viewer_client: Client, wrong: Domain) -> None:
    write_tick(wrong.host, {wrong: guest_sample()})
    assert "not looked at yet" in page(viewer_client, "host", "kvm3")
    assert "It was not looked yet where they are." in page(viewer_client, "guest-tab", wrong.pk, "cpu")


def test_what_would_be_set_is_shown_first(operator_client: Client, wrong: Domain) -> None:
    text = page(operator_client, "guest-place", wrong.pk)
    assert "vCPU 0 on CPU 0-1; emulator on CPU 0-1; memory from cell 0 (strict)" in text
    assert not Job.objects.exists()


@pytest.mark.parametrize("mode", ["preferred", "interleave", "restrictive"])
def test_a_memory_policy_keeps_its_mode(operator_client: Client, wrong: Domain, mode: str) -> None:
    policy = f"<domain><numatune><memory mode='{mode}' nodeset='0'/></numatune></domain>"
    Domain.objects.filter(pk=wrong.pk).update(xml=policy)
    assert f"memory from cell 0 ({mode})</b>" in page(operator_client, "guest-place", wrong.pk)
    for cell in ("", "1"):
        operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": cell})
        job = Job.objects.get()
        assert job.parameters["after"]["mode"] == mode
        assert f"--mode {mode} " in job.virsh
        job.delete()


def test_it_is_said_beforehand_whether_its_memory_may_move(operator_client: Client, wrong: Domain) -> None:
    for mode, words in (
        ("strict", "A memory policy that is new holds from its next start"),
        ("restrictive", "Its host is asked to move its memory, too"),
    ):
        policy = f"<domain><numatune><memory mode='{mode}' nodeset='0'/></numatune></domain>"
        Domain.objects.filter(pk=wrong.pk).update(xml=policy)
        answer = operator_client.get(reverse("guest-place", args=[wrong.pk]), {"cell": "1"})
        assert words in answer.content.decode()
    assert "Its host is asked to move its memory" not in page(operator_client, "guest-place", wrong.pk), "it stays"
    Domain.objects.filter(pk=wrong.pk).update(numa_cells=[])
    answer = operator_client.get(reverse("guest-place", args=[wrong.pk]), {"cell": "1"})
    assert "A memory policy that is new holds from its next start" in answer.content.decode(), "it runs without one"


PINNED, WAITS = "It is pinned so from now on.", "holds from its next start"


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        (Applied(running=False), ["It holds from its next start."]),
        (Applied(running=True), [PINNED]),
        (Applied(running=True, policy_waits=True), [PINNED, WAITS]),
        (Applied(running=True, memory_moves=True), [PINNED, "the host moves there what it has"]),
        (
            Applied(running=True, policy_waits=True, refused=InvalidState("Cannot move it.", detail="No cpuset.")),
            [PINNED, "Cannot move it. No cpuset.", WAITS],
        ),
        (Applied(running=True, policy_waits=True, persistent=False), [PINNED, "the guest is transient"]),
    ],
)
def test_the_log_of_the_job_says_what_came_of_the_memory(applied: Applied, expected: list[str]) -> None:
    lines = words_of(applied)
    assert len(lines) == len(expected)
    assert all(words in line for words, line in zip(expected, lines, strict=True))


def test_one_that_was_interrupted_says_what_came_of_the_memory_too(
    wrong: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def live(domain: Domain) -> Iterator[tuple[Mock, Mock]]:
        yield Mock(), Mock()

    def moved(*_: object, **how: bool) -> Applied:
        assert how == {"with_memory": True}
        return Applied(running=True, memory_moves=True)

    monkeypatch.setattr("domains.numa.job.live", live)
    monkeypatch.setattr("vmdash.virt.placement.apply", moved)
    placement = {"pins": {}, "emulator": [], "mode": "", "cells": []}
    job = JobFactory.create(
        domain=wrong, kind=PLACE.name, state="lost",
        parameters={"after": placement, "before": placement, "with_memory": True},
    )  # fmt: skip
    execution.execute(job)
    assert job.state == "succeeded"
    assert "the host moves there what it has" in job.lines.all()[1].text


def test_what_was_seen_long_ago_is_not_said_to_be_wrong_now(operator_client: Client, wrong: Domain) -> None:
    Domain.objects.filter(pk=wrong.pk).update(vcpu_pins={})
    headline = "Its vCPU runs in cell 1, but its memory comes from cell 0"
    for age_s, told in ((0, True), (3600, False)):
        write_tick(wrong.host, {wrong: guest_sample()}, places={wrong: {0: 2}}, age_s=age_s)
        for text in (page(operator_client, "host", "kvm3"), page(operator_client, "guest-place", wrong.pk)):
            assert (headline in text) == told
    assert 'class="vcpu away"' in page(operator_client, "host", "kvm3"), "where it was is drawn"


def test_a_guest_without_a_memory_policy_gets_a_strict_one(operator_client: Client, wrong: Domain) -> None:
    Domain.objects.filter(pk=wrong.pk).update(xml="<domain/>", numa_cells=[], vcpu_pins={})
    answer = operator_client.get(reverse("guest-place", args=[wrong.pk]), {"cell": "1"})
    assert "memory from cell 1 (strict)</b>" in answer.content.decode()


def test_a_full_cell_can_be_chosen_with_a_warning(operator_client: Client, wrong: Domain) -> None:
    assert "free of" not in page(operator_client, "guest-place", wrong.pk)
    write_tick(
        wrong.host,
        {wrong: guest_sample()},
        places={wrong: {0: 2}},
        cells=[
            {"cell": 0, "cpu": 3.0, "mem_free": 10 * MIB, "mem_total": 1024 * MIB},
            {"cell": 1, "cpu": 3.0, "mem_free": 20 * MIB, "mem_total": 1024 * MIB},
        ],
    )
    text = page(operator_client, "guest-place", wrong.pk)
    assert "cell 1: 2 CPUs, 20 MiB free of 1 GiB" in text
    assert "may use" not in text  # its memory comes from cell 0 already
    text = operator_client.get(reverse("guest-place", args=[wrong.pk]), {"cell": "1"}).content.decode()
    assert "Cell 1 has 20 MiB of memory free, and cache1 may use 96 MiB." in text
    assert operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": "1"}).status_code == 302


def test_a_full_cell_that_is_proposed_comes_with_a_warning(operator_client: Client) -> None:
    host = HostFactory.create(cpus=4, cells=CELLS)
    guest = DomainFactory.create(host=host, name="wide1", vcpus=2, memory_kib=96 * MIB)
    full: list[CellSample] = [
        {"cell": cell, "cpu": 3.0, "mem_free": 10 * MIB, "mem_total": 1024 * MIB} for cell in (0, 1)
    ]
    write_tick(host, {guest: guest_sample()}, places={guest: {0: 1, 1: 2}}, cells=full)
    assert "has 10 MiB of memory free, and wide1 may use 96 MiB." in page(operator_client, "guest-place", guest.pk)
    write_tick(host, {guest: guest_sample()}, places={guest: {0: 1, 1: 2}}, cells=full, age_s=3600)
    assert "of memory free" not in page(operator_client, "guest-place", guest.pk), "of an hour ago"


def test_who_may_not_see_the_host_is_not_told_what_is_free_there(
    client_of: Callable[[User], Client], wrong: Domain
) -> None:
    cells: list[CellSample] = [{"cell": 1, "cpu": 3.0, "mem_free": 20 * MIB, "mem_total": 1024 * MIB}]
    write_tick(wrong.host, {wrong: guest_sample()}, places={wrong: {0: 2}}, cells=cells)
    person = UserFactory.create(role="")
    Grant.objects.create(person=person, role=Role.OPERATOR, scope=Scope.GUEST, scope_id=str(wrong.pk))
    answer = client_of(person).get(reverse("guest-place", args=[wrong.pk]), {"cell": "1"})
    assert answer.status_code == 200
    assert "20 MiB" not in answer.content.decode()


def test_placing_it_makes_a_job(operator_client: Client, wrong: Domain) -> None:
    answer = operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": ""})
    job = Job.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("job", args=[job.pk]))
    assert (job.kind, job.label) == ("domain.place", "Place cache1 in cell 0")
    assert job.parameters["after"]["pins"] == {"0": [0, 1]}
    assert "virsh vcpupin cache1 0 0-1 --live --config" in job.virsh


@pytest.mark.parametrize(("cell", "status"), [("7", 400), ("x", 400), ("-1", 400)])
def test_a_cell_that_is_not_there_is_refused(operator_client: Client, wrong: Domain, cell: str, status: int) -> None:
    assert operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": cell}).status_code == status
    assert operator_client.get(reverse("guest-place", args=[wrong.pk]), {"cell": cell}).status_code == status
    assert not Job.objects.exists()


def test_one_that_does_not_fit_is_refused(operator_client: Client, wrong: Domain) -> None:
    Domain.objects.filter(pk=wrong.pk).update(vcpus=3)
    answer = operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": "1"})
    assert answer.status_code == 409
    assert "cell 1 has 2 CPUs" in answer.content.decode()


@pytest.mark.parametrize("mode", ["", "strict", "restrictive"])
def test_a_policy_for_a_cell_that_is_smaller_than_the_guest_is_refused(
    operator_client: Client, wrong: Domain, mode: str
) -> None:
    policy = f"<domain><numatune><memory mode='{mode}' nodeset='0'/></numatune></domain>" if mode else "<domain/>"
    Domain.objects.filter(pk=wrong.pk).update(xml=policy, memory_kib=2048 * MIB)
    answers = [
        operator_client.get(reverse("guest-place", args=[wrong.pk]), {"cell": "1"}),
        operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": "1"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 409]
    for answer in answers:
        text = answer.content.decode()
        assert "cache1 may use 2 GiB of memory, and cell 1 has 1 GiB in all" in text
        assert f"by a memory policy that is {mode or 'strict'} it could have none from elsewhere." in text
        assert "Place it so" not in text
    assert not Job.objects.exists()


def test_a_guest_that_prefers_a_small_cell_may_have_it(operator_client: Client, wrong: Domain) -> None:
    policy = "<domain><numatune><memory mode='preferred' nodeset='0'/></numatune></domain>"
    Domain.objects.filter(pk=wrong.pk).update(xml=policy, memory_kib=2048 * MIB)
    assert operator_client.post(reverse("guest-place-now", args=[wrong.pk]), {"cell": "1"}).status_code == 302


def test_the_last_placement_can_be_undone(operator_client: Client, wrong: Domain) -> None:
    before = {"pins": {"0": [2]}, "emulator": [], "mode": "strict", "cells": [0]}
    JobFactory.create(
        kind=PLACE.name, state="succeeded", target_kind="domain", target_id=str(wrong.pk), label="Place cache1",
        parameters={"after": {}, "before": before},
    )  # fmt: skip
    assert "Undo the last placement" in page(operator_client, "guest-tab", wrong.pk, "cpu")
    operator_client.post(reverse("guest-place-undo", args=[wrong.pk]))
    job = Job.objects.get(state="queued")
    assert job.parameters["after"] == before


def test_nothing_to_undo_is_said(operator_client: Client, wrong: Domain) -> None:
    answer = operator_client.post(reverse("guest-place-undo", args=[wrong.pk]), follow=True)
    assert "Nobody has placed cache1 by vmdash." in answer.content.decode()


def test_a_guest_without_a_policy_has_memory_nobody_knows_where(viewer_client: Client) -> None:
    host = HostFactory.create(cpus=4, cells=CELLS)
    guest = DomainFactory.create(host=host, vcpus=1)
    write_tick(host, {guest: guest_sample()}, places={guest: {0: 1}})
    text = page(viewer_client, "guest-tab", guest.pk, "cpu")
    assert "its memory may be in any cell, and libvirt does not tell where" in text
    assert "Nothing is known to be wrong." in text


def test_the_host_s_page_says_that_its_cells_are_out_of_balance(viewer_client: Client, wrong: Domain) -> None:
    DomainFactory.create(name="held1", host=wrong.host, numa_cells=[1])
    write_tick(
        wrong.host,
        cells=[
            {"cell": 0, "cpu": 3.0, "mem_free": 600, "mem_total": 1000},
            {"cell": 1, "cpu": 97.0, "mem_free": 500, "mem_total": 1000},
        ],
    )
    text = page(viewer_client, "host", "kvm3")
    assert "The CPUs of cell 1 are 97 % busy, those of cell 0 only 3 %." in text
    assert "Kept in cell 1 are cache1, held1." in text
