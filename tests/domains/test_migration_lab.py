"""Guests are moved between real hosts by a real worker."""

from __future__ import annotations

import pytest

from domains.migration import services
from domains.models import Migration
from tests.domains.migrating import Fleet, begun, ended
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs import services as jobs
from vmdash.jobs.models import Job
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def fleet(lab_hosts: dict[str, QemuHost], operator: User) -> Fleet:
    return Fleet(lab_hosts, operator)


def succeeded(job: Job) -> Job:
    ended(job)
    log = [line.text for line in job.lines.all()]
    assert job.state == "succeeded", (job.error, job.error_detail, log)
    return job


@pytest.mark.parametrize(("home", "to", "name"), [("kvm1", "kvm2", "web1"), ("kvm3", "kvm1", "cache1")])
def test_a_running_guest_on_shared_storage_moves_and_comes_back(
    home: str, to: str, name: str, fleet: Fleet, worker: Worker
) -> None:
    with fleet.at_home(name, home) as guest:
        job = succeeded(fleet.move(guest, to))
        assert fleet.states(name) == {to: "running"}
        moved = Migration.objects.get(job=job)
        assert (moved.outcome, moved.source_name, moved.target_name, moved.how) == ("moved", home, to, "live")
        assert moved.downtime_ms is not None and moved.downtime_ms < moved.duration_ms
        assert moved.transferred_bytes and moved.transferred_bytes > 10 * 2**20
        assert "--unsafe" in job.virsh  # libvirt does not know that this storage is shared
        succeeded(fleet.move(guest, home))
        assert fleet.states(name) == {home: "running"}


def test_the_disk_of_a_running_guest_is_copied_and_the_old_one_removed(fleet: Fleet, worker: Worker) -> None:
    with fleet.at_home("mail1", "kvm2") as guest:
        job = succeeded(fleet.move(guest, "kvm1"))
        assert fleet.states("mail1") == {"kvm1": "running"}
        assert "mail1.qcow2" in fleet.volumes("kvm1")
        assert "mail1.qcow2" not in fleet.volumes("kvm2")
        assert Migration.objects.get(job=job).how == "live, with 1 disk"
        assert "--copy-storage-all --migrate-disks vda" in job.virsh
        assert "yes" in fleet.hosts["kvm1"].virsh("dominfo", "mail1").split("Autostart:")[1].split()[0].replace(
            "enable", "yes"
        )
        succeeded(fleet.move(guest, "kvm2"))
        assert "mail1.qcow2" in fleet.volumes("kvm2")


def test_a_guest_that_is_off_moves_with_its_definition_and_disk(fleet: Fleet, worker: Worker) -> None:
    with fleet.at_home("backup1", "kvm2") as guest:
        succeeded(fleet.move(guest, "kvm3"))
        assert fleet.states("backup1") == {"kvm3": "shut off"}
        assert "backup1.qcow2" in fleet.volumes("kvm3")
        assert "backup1.qcow2" not in fleet.volumes("kvm2")
        succeeded(fleet.move(guest, "kvm2"))
        assert "backup1.qcow2" in fleet.volumes("kvm2")
    with fleet.at_home("legacy-erp", "kvm3") as guest:
        succeeded(fleet.move(guest, "kvm1"))
        assert fleet.states("legacy-erp") == {"kvm1": "shut off"}


def test_one_that_is_cancelled_in_the_middle_runs_on_where_it_was(fleet: Fleet, worker: Worker) -> None:
    with fleet.at_home("db1", "kvm1") as guest:
        before = fleet.volumes("kvm2")
        job = begun(fleet.move(guest, "kvm2", bandwidth_mib_s=1))
        jobs.cancel(job=job, user=fleet.user)
        ended(job)
        assert (job.state, job.error) == ("cancelled", "")
        assert fleet.states("db1") == {"kvm1": "running"}
        assert fleet.volumes("kvm2") == before
        assert Migration.objects.get(job=job).outcome == "cancelled"


def test_a_slow_one_is_told_to_hurry(fleet: Fleet, worker: Worker) -> None:
    with fleet.at_home("web2", "kvm1") as guest:
        job = begun(fleet.move(guest, "kvm3", bandwidth_mib_s=1))
        services.give_order(job=job, key="downtime", amount=900, user=fleet.user)
        begun(job, lambda job: job.figures.get("max_downtime_ms") == 900)
        services.give_order(job=job, key="bandwidth", amount=0, user=fleet.user)
        succeeded(job)
        assert fleet.states("web2") == {"kvm3": "running"}
        assert "It may stand still for 900 ms, asked for by operator" in [line.text for line in job.lines.all()]


def test_two_moves_leave_a_host_at_once_and_the_third_waits(fleet: Fleet, worker: Worker) -> None:
    names = ("web1", "web2", "ci-7")
    guests = {name: fleet.guest(name, "kvm1") for name in names}
    try:
        moves = [fleet.move(guests[name], "kvm2", bandwidth_mib_s=1) for name in names]
        for job in moves[:2]:
            begun(job)
        begun(moves[2], lambda job: job.waiting_for == "2 guests at once may leave kvm1, and as many do.")
        for job in moves:
            jobs.cancel(job=job, user=fleet.user)
            ended(job)
        assert all(fleet.states(name) == {"kvm1": "running"} for name in names)
    finally:
        for name in names:
            fleet.bring_home(name, "kvm1")
