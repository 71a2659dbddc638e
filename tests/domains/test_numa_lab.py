"""A real guest is placed in another cell. Hosts of the practice fleet keep no control groups: they refuse to move its
memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from lxml import etree

from domains.models import Domain
from domains.numa import services
from hosts.models import Host
from tests.domains.migrating import Fleet, ended
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.lab import xml
from vmdash.lab.commands import LabError
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt.xml.placement import Placement, with_placement

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

SPARE = "spare-restricted"
CPUS = sorted(os.sched_getaffinity(0))


@pytest.fixture
def fleet(lab_hosts: dict[str, QemuHost], operator: User) -> Fleet:
    return Fleet(lab_hosts, operator)


@pytest.fixture
def spare(fleet: Fleet, lab: Lab) -> Iterator[Domain]:
    """It runs with a restrictive memory policy for cell 0."""
    host, policy = fleet.hosts["kvm3"], Placement(mode="restrictive", cells=(0,))
    draft = host.directory / f"{SPARE}.xml"
    draft.write_text(with_placement(xml.filler(lab, SPARE), policy))
    host.virsh("define", str(draft))
    host.virsh("start", SPARE)
    cells = [
        {"id": number, "cpus": [cpu], "memory_kib": 2**20, "distances": []}
        for number, cpu in enumerate((CPUS[0], CPUS[-1]))
    ]
    Host.objects.filter(name="kvm3").update(cells=cells, cpus=len(CPUS))
    fleet.rows["kvm3"].refresh_from_db()
    try:
        yield fleet.guest(SPARE, "kvm3")
    finally:
        for command in ("destroy", "undefine"):
            with suppress(LabError):
                host.virsh(command, SPARE)
        draft.unlink()


def logged(job: Job) -> list[str]:
    job = ended(job)
    assert (job.state, job.error) == ("succeeded", ""), job.error_detail
    return [line.text for line in job.lines.all()]


def cells(host: QemuHost, *how: str) -> str:
    memory = etree.fromstring(host.virsh("dumpxml", SPARE, *how)).find("./numatune/memory")
    assert memory is not None
    assert memory.get("mode") == "restrictive"
    return memory.get("nodeset", "")


def test_where_its_memory_cannot_move_the_policy_waits_and_that_is_said(
    spare: Domain, fleet: Fleet, operator: User
) -> None:
    host = fleet.hosts["kvm3"]
    Domain.objects.filter(pk=spare.pk).update(xml=host.virsh("dumpxml", SPARE, "--inactive"))
    guest = Domain.objects.select_related("host").get(pk=spare.pk)
    lines = logged(services.place(domain=guest, choice="1", user=operator))
    assert lines[0] == "It is pinned so from now on."
    assert lines[1].startswith(f"Cannot move the memory of {SPARE} on kvm3: ")
    assert lines[2].startswith("Its memory stays where it is: the new policy is in its definition")
    assert (cells(host), cells(host, "--inactive")) == ("0", "1")
    assert logged(services.undo(domain=guest, user=operator)) == ["It is pinned so from now on."]
    assert cells(host, "--inactive") == "0"
