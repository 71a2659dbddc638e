"""Scripts that give guests more or less, and place them in the cells of their hosts."""

from __future__ import annotations

from typing import Any

import pytest

from domains.models import Domain
from domains.numa.job import PLACE
from domains.tuning.job import TUNE
from tests.api.caller import Caller
from tests.factories import DomainFactory, HostFactory, JobFactory, UserFactory
from tests.ticks import guest_sample, write_tick
from vmdash.access.models import User
from vmdash.access.roles import Role
from vmdash.jobs.models import Job

pytestmark = pytest.mark.django_db

MIB = 1024
XML = """<domain type='kvm'><name>web1</name><memory unit='MiB'>512</memory><vcpu current='2'>4</vcpu><devices>
<disk type='file' device='disk'><target dev='vda'/></disk><memballoon model='virtio'/></devices></domain>"""
CELLS = [
    {"id": 0, "cpus": [0, 1], "memory_kib": 1024 * MIB, "distances": [10, 20]},
    {"id": 1, "cpus": [2, 3], "memory_kib": 1024 * MIB, "distances": [20, 10]},
]


@pytest.fixture
def web1() -> Domain:
    """Its memory comes from cell 0, its vCPU is pinned to cell 1; vda is limited to 10 MiB/s, bursts to 20."""
    limits = {"total_bytes_sec": 10 << 20, "total_bytes_sec_max": 20 << 20}
    disk = {
        "target": "vda", "device": "disk", "bus": "virtio", "source": "/vda", "format": "raw", "readonly": False,
        "backing": [], "limits": limits,
    }  # fmt: skip
    guest = DomainFactory.create(
        name="web1", host=HostFactory.create(name="kvm1", cpus=4, cells=CELLS), max_vcpus=4, xml=XML, disks=[disk],
        numa_cells=[0], vcpu_pins={"0": [2]},
    )  # fmt: skip
    write_tick(guest.host, {guest: guest_sample()}, places={guest: {0: 2}})
    return guest


def test_what_it_has_now_and_at_its_next_start_is_told(calls: Caller, web1: Domain) -> None:
    told = calls.get(f"/guests/{web1.pk}/tuning").json()
    limits = {"total_bytes_sec": 10 << 20, "total_bytes_sec_max": 20 << 20}
    assert told["now"] == {"vcpus": 1, "memory_kib": 512 * MIB, "cpu_shares": 0, "disks": {"vda": limits}, "groups": {}}
    assert (told["next"]["vcpus"], told["max_vcpus"], told["max_memory_kib"]) == (2, 4, 512 * MIB)
    assert (told["obstacle"], told["last"], told["came_of_it"]) == ("", None, [])


def test_only_what_is_sent_is_set(calls: Caller, web1: Domain) -> None:
    wish = {"vcpus": 2, "cpu_shares": 512, "disks": {"vda": {"total_bytes_sec": 0, "read_iops_sec": 300}}}
    answer = calls.post(f"/guests/{web1.pk}/tuning", wish)
    assert (answer.status_code, answer.json()["kind"]) == (202, "domain.tune")
    wanted = {"vcpus": 2, "memory_kib": None, "cpu_shares": 512, "disks": {"vda": {"read_iops_sec": 300}}}
    assert Job.objects.get().parameters["after"] == {"now": wanted, "next": wanted}


def test_a_limit_is_told_to_the_byte_and_its_bursts_stay(calls: Caller, web1: Domain) -> None:
    calls.post(f"/guests/{web1.pk}/tuning", {"disks": {"vda": {"total_bytes_sec": 10_000_001}}})
    limits = Job.objects.get().parameters["after"]["now"]["disks"]["vda"]
    assert limits == {"total_bytes_sec": 10_000_001, "total_bytes_sec_max": 20 << 20}


@pytest.mark.parametrize(
    ("wish", "at"),
    [
        ({}, ""),
        ({"vcpus": 5}, "vcpus"),
        ({"vcpus": 0}, "body.wish.vcpus"),
        ({"memory_kib": 1024 * MIB}, "memory"),
        ({"memory_kib": 1}, "memory"),
        ({"cpu_shares": 1}, "cpu_shares"),
        ({"disks": {"vdz": {"read_iops_sec": 1}}}, ""),
        ({"disks": {"vda": {"read_bytes_sec": 1}}}, "vda.total_bytes_sec"),
        ({"disks": {"vda": {"read_bytes": 1}}}, "body.wish.disks.vda.read_bytes"),
    ],
)
def test_what_the_form_refuses_is_refused(calls: Caller, web1: Domain, wish: Any, at: str) -> None:
    answer = calls.post(f"/guests/{web1.pk}/tuning", wish)
    assert answer.status_code == 422
    assert at in [one["at"] for one in answer.json().get("errors", [{"at": ""}])]
    assert not Job.objects.exists()


@pytest.fixture
def sharing(web1: Domain) -> Domain:
    """vda, vdb and vdc share 10 MiB/s and 500 reads/s."""
    limits = {"total_bytes_sec": 10 << 20, "read_iops_sec": 500}
    web1.disks = [
        web1.disks[0] | {"target": target, "limits": limits, "limit_group": "fast"} for target in ("vda", "vdb", "vdc")
    ]
    web1.save()
    return web1


@pytest.mark.parametrize("said", [10 << 20, 20 << 20, 0])
def test_disks_of_a_group_are_not_given_different_limits(calls: Caller, sharing: Domain, said: int) -> None:
    """Also where one has already what is said of it."""
    wish = {"vda": {"total_bytes_sec": 30 << 20}, "vdb": {"total_bytes_sec": said}}
    answer = calls.post(f"/guests/{sharing.pk}/tuning", {"disks": wish})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["at"] == "vdb.total_bytes_sec"
    assert error["message"].startswith("it shares its limits with vda (group fast): change one of them")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, {}),
        ({"vdb": {}}, {}),
        ({"vdb": {"read_iops_sec": 500}}, {}),
        ({"vdb": {"total_bytes_sec": 30 << 20}}, {"vdb": {"total_bytes_sec": 30 << 20, "read_iops_sec": 500}}),
        ({"vdb": {"total_bytes_sec": 0, "read_iops_sec": 0}}, {"vdb": {}}),
    ],
)
def test_disks_of_a_group_may_be_said_the_same_of_and_one_may_leave(
    calls: Caller, sharing: Domain, more: dict[str, Any], wanted: dict[str, Any]
) -> None:
    wish = {"vda": {"total_bytes_sec": 30 << 20}} | more
    assert calls.post(f"/guests/{sharing.pk}/tuning", {"disks": wish}).status_code == 202
    both = {"vda": {"total_bytes_sec": 30 << 20, "read_iops_sec": 500}} | wanted
    assert Job.objects.get().parameters["after"]["now"]["disks"] == both


def test_what_it_has_already_is_no_change(calls: Caller, web1: Domain) -> None:
    assert calls.post(f"/guests/{web1.pk}/tuning", {"vcpus": 1}).status_code == 409


def test_the_last_tuning_is_told_and_undone(calls: Caller, web1: Domain) -> None:
    assert calls.post(f"/guests/{web1.pk}/tuning/undo").status_code == 404
    was: dict[str, Any] = {"vcpus": 2, "memory_kib": None, "cpu_shares": None, "disks": {}}
    JobFactory.create(
        kind=TUNE.name, state="succeeded", target_kind="domain", target_id=str(web1.pk), label="Tune web1: 1 vCPU",
        parameters={"after": {}, "before": {"now": was, "next": was}},
    )  # fmt: skip
    assert calls.get(f"/guests/{web1.pk}/tuning").json()["last"]["label"] == "Tune web1: 1 vCPU"
    assert calls.post(f"/guests/{web1.pk}/tuning/undo").json()["label"] == "Undo: Tune web1: 1 vCPU"
    assert Job.objects.get(state="queued").parameters["after"]["now"] == was


def test_what_is_wrong_with_where_it_runs_is_told_with_what_would_be_set(calls: Caller, web1: Domain) -> None:
    told = calls.get(f"/guests/{web1.pk}/placement").json()
    headline = "Its vCPU is pinned to CPU 2 in cell 1, but its memory comes from cell 0."
    assert (told["finding"]["kind"], told["finding"]["headline"]) == ("away", headline)
    assert told["after"] == "vCPU 0 on CPU 0-1; emulator on CPU 0-1; memory from cell 0 (strict)"
    assert told["vcpus"] == [{"number": 0, "cpu": 2, "cell": 1, "away": True, "pinned": "pinned to CPU 2"}]
    assert [(cell["number"], cell["cpus"]) for cell in told["cells"]] == [(0, [0, 1]), (1, [2, 3])]
    assert [cell["free_kib"] for cell in told["cells"]] == [None, None]
    assert calls.get(f"/guests/{web1.pk}/placement?cell=free").json()["after"] == "anywhere"


def test_a_cell_that_may_be_too_full_is_told_before(calls: Caller, web1: Domain) -> None:
    assert calls.get(f"/guests/{web1.pk}/placement?cell=1").json()["warning"] == ""
    write_tick(
        web1.host,
        {web1: guest_sample()},
        cells=[{"cell": 1, "cpu": 3.0, "mem_free": 20 * MIB, "mem_total": 1024 * MIB}],
    )
    told = calls.get(f"/guests/{web1.pk}/placement?cell=1").json()
    assert told["cells"][1]["free_kib"] == 20 * MIB
    assert "Cell 1 has 20 MiB of memory free, and web1 may use 512 MiB." in told["warning"]


def test_guests_that_are_misplaced_are_listed(viewer: User, nobody: User, web1: Domain) -> None:
    told = Caller(viewer).get("/guests/misplaced").json()
    assert [(one["uuid"], one["host"], one["finding"]["kind"]) for one in told["items"]] == [
        (str(web1.pk), "kvm1", "away")
    ]
    assert told["total"] == 1
    assert Caller(nobody).get("/guests/misplaced").status_code == 403


def test_it_is_placed(calls: Caller, web1: Domain) -> None:
    answer = calls.post(f"/guests/{web1.pk}/placement", {})
    assert (answer.status_code, answer.json()["label"]) == (202, "Place web1 in cell 0")
    assert Job.objects.get().parameters["after"]["pins"] == {"0": [0, 1]}


@pytest.mark.parametrize("cell", ["7", "x", "-1"])
def test_a_cell_that_is_not_there_is_refused(calls: Caller, web1: Domain, cell: str) -> None:
    assert calls.get(f"/guests/{web1.pk}/placement?cell={cell}").status_code == 422
    assert calls.post(f"/guests/{web1.pk}/placement", {"cell": cell}).status_code == 422
    assert not Job.objects.exists()


def test_one_that_does_not_fit_is_refused_and_told_before(calls: Caller, web1: Domain) -> None:
    Domain.objects.filter(pk=web1.pk).update(vcpus=3)
    told = calls.get(f"/guests/{web1.pk}/placement?cell=1").json()
    assert told["after"] == ""
    assert "cell 1 has 2 CPUs" in told["obstacle"]
    assert calls.post(f"/guests/{web1.pk}/placement", {"cell": "1"}).status_code == 409


def test_the_last_placement_is_undone(calls: Caller, web1: Domain) -> None:
    assert calls.post(f"/guests/{web1.pk}/placement/undo").status_code == 404
    before = {"pins": {"0": [2]}, "emulator": [], "mode": "strict", "cells": [0]}
    JobFactory.create(
        kind=PLACE.name, state="succeeded", target_kind="domain", target_id=str(web1.pk), label="Place web1",
        parameters={"after": {}, "before": before},
    )  # fmt: skip
    assert calls.get(f"/guests/{web1.pk}/placement").json()["last"]["label"] == "Place web1"
    assert calls.post(f"/guests/{web1.pk}/placement/undo").status_code == 202
    assert Job.objects.get(state="queued").parameters["after"] == before


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELP_DESK])
def test_others_may_not(role: Role, web1: Domain) -> None:
    calls = Caller(UserFactory.create(role=role))
    for path, wish in (("tuning", {"vcpus": 2}), ("placement", {"cell": "free"})):
        assert calls.get(f"/guests/{web1.pk}/{path}").status_code == 403
        assert calls.post(f"/guests/{web1.pk}/{path}", wish).status_code == 403
        assert calls.post(f"/guests/{web1.pk}/{path}/undo").status_code == 403
    assert not Job.objects.exists()


def test_a_guest_that_is_not_there_is_not_found(calls: Caller) -> None:
    nowhere = "/guests/00000000-0000-4000-8000-000000000000"
    assert calls.get(f"{nowhere}/tuning").status_code == 404
    assert calls.post(f"{nowhere}/placement", {"cell": "free"}).status_code == 404
