"""A guest made by a real worker on a real host: it starts from its disk, and nothing stays of a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from domains.defining import services
from domains.defining.wish import VolumeNamed, Wish
from storage.models import Pool, Volume
from tests.bootable import disk
from tests.domains.migrating import Fleet
from tests.factories import PoolFactory
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs import recovery
from vmdash.jobs.models import Job
from vmdash.jobs.services import cancel
from vmdash.lab.commands import LabError
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]

NAME = "new-guest"
IMAGES = Path("/var/lib/libvirt/images")
MIB = 1 << 20


@pytest.fixture
def fleet(lab_hosts: dict[str, QemuHost], operator: User) -> Iterator[Fleet]:
    yield Fleet(lab_hosts, operator)
    kvm2 = lab_hosts["kvm2"]
    for command in (["destroy", NAME], ["undefine", NAME]):
        with suppress(LabError):
            kvm2.virsh(*command)
    for name in (f"{NAME}.qcow2", "boots.raw"):
        (kvm2.root / str(IMAGES / name).lstrip("/")).unlink(missing_ok=True)
    kvm2.virsh("pool-refresh", "default")


@pytest.fixture
def pool(fleet: Fleet) -> Pool:
    networks = [{"name": "default", "active": True}]
    host = fleet.rows["kvm2"]
    type(host).objects.filter(pk=host.pk).update(networks=networks, hardware_virtualization=False, arch="x86_64")
    host.refresh_from_db()
    return PoolFactory.create(host=host, name="default", state="running", path=str(IMAGES), available_bytes=1 << 40)


def ask(fleet: Fleet, user: User, **fields: Any) -> Job:
    usual: dict[str, Any] = {
        "name": NAME,
        "title": "",
        "vcpus": 1,
        "memory_bytes": 32 * MIB,
        "disk": VolumeNamed("default", f"{NAME}.qcow2", 16 * MIB),
        "medium": None,
        "network": "default",
        "efi": False,
        "start": True,
    }
    return services.define(host=fleet.rows["kvm2"], wish=Wish(**(usual | fields)), user=user)


def ended(job: Job) -> Job:
    poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 60, f"{job.label} to end")
    job.refresh_from_db()
    return job


def test_a_guest_with_an_empty_disk_is_made_and_runs(fleet: Fleet, pool: Pool, operator: User, worker: Worker) -> None:
    job = ended(ask(fleet, operator))
    assert job.state == "succeeded", f"{job.error} {job.error_detail}"
    kvm2 = fleet.hosts["kvm2"]
    assert kvm2.virsh("domstate", NAME).strip() == "running"
    assert kvm2.virsh("domuuid", NAME).strip() == job.result["uuid"]
    assert f"{NAME}.qcow2" in kvm2.virsh("domblklist", NAME)
    assert Volume.objects.get(name=f"{NAME}.qcow2").capacity_bytes == 16 * MIB


def test_a_guest_starts_from_a_disk_that_is_there(fleet: Fleet, pool: Pool, operator: User, worker: Worker) -> None:
    kvm2 = fleet.hosts["kvm2"]
    path = str(IMAGES / "boots.raw")
    (kvm2.root / path.lstrip("/")).write_bytes(disk("IT STARTS"))
    kvm2.virsh("pool-refresh", "default")
    Volume.objects.create(pool=pool, name="boots.raw", path=path, key=path, kind="file", format="raw")
    job = ended(ask(fleet, operator, disk=VolumeNamed("default", "boots.raw")))
    assert job.state == "succeeded", f"{job.error} {job.error_detail}"
    console = kvm2.run(["timeout", "15", "head", "-c", "20", kvm2.virsh("ttyconsole", NAME).strip()])
    assert "STARTS" in console


def test_of_one_that_the_host_refuses_nothing_stays(fleet: Fleet, pool: Pool, operator: User, worker: Worker) -> None:
    type(pool.host).objects.filter(pk=pool.host_id).update(arch="s390x")
    job = ended(ask(fleet, operator))
    assert job.state == "failed"
    assert "s390x" in job.error + job.error_detail
    assert f"{NAME}.qcow2" not in fleet.volumes("kvm2")
    assert NAME not in fleet.hosts["kvm2"].virsh("list", "--all")


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "cancelled"])
def test_what_a_dead_worker_left_is_finished_or_removed(
    fleet: Fleet, pool: Pool, operator: User, new_worker: Callable[[], Worker], wanted: bool
) -> None:
    """The disk is there and its making is noted, the definition is not: as if the worker had died in between."""
    job = ask(fleet, operator)
    mark = [pool.host_id, "default", f"{NAME}.qcow2"]
    fleet.hosts["kvm2"].virsh("vol-create-as", "default", f"{NAME}.qcow2", "16M", "--format", "qcow2")
    Job.objects.filter(pk=job.pk).update(
        state="lost", started_at=timezone.now(), parameters=job.parameters | {"begun": [mark], "made": [mark]}
    )
    job.refresh_from_db()
    if not wanted:
        cancel(job=job, user=operator)
    new_worker()
    recovery.recover()
    ended(job)
    assert job.state == ("failed" if wanted else "cancelled")
    assert f"{NAME}.qcow2" not in fleet.volumes("kvm2")
