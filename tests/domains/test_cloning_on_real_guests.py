"""Clones of real guests, made by a real worker: their disks and definitions, and how the source fares meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from lxml import etree

from domains.cloning import marking
from domains.models import Domain
from tests.domains import cloning
from tests.domains.cloning import IMAGES, NAME, Fleet, ended, values
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.exceptions import Conflict
from vmdash.jobs.models import Job
from vmdash.lab import guests
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def source_host(lab_hosts: dict[str, QemuHost]) -> Iterator[QemuHost]:
    """kvm1 with the guest `clone-source`, which is off. Afterwards all hosts are as before."""
    before = {name: cloning.belongings(host) for name, host in lab_hosts.items()}
    cloning.make_source(lab_hosts["kvm1"])
    yield lab_hosts["kvm1"]
    for name, host in lab_hosts.items():
        cloning.remove_guests(host, list(before[name].guests))
        cloning.remove_volumes(host, before[name].volumes)


@pytest.fixture
def fleet(source_host: QemuHost, lab_hosts: dict[str, QemuHost], operator: User) -> Iterator[Fleet]:
    before = {name: cloning.belongings(host) for name, host in lab_hosts.items()}
    yield Fleet(lab_hosts, operator)
    for name, host in lab_hosts.items():
        cloning.remove_guests(host, list(before[name].guests))
        cloning.remove_volumes(host, before[name].volumes)
    if source_host.virsh("domstate", NAME).strip() != "shut off":
        source_host.virsh("destroy", NAME)


def succeeded(job: Job) -> Job:
    ended(job)
    assert (job.state, job.error, job.error_detail) == ("succeeded", "", "")
    return job


def definition(host: QemuHost, name: str) -> str:
    return host.virsh("dumpxml", name, "--inactive")


def same_content(host: QemuHost, one: str, other: str) -> bool:
    return "identical" in host.run(["qemu-img", "compare", "-U", one, other])


def test_a_guest_that_is_off_is_cloned_with_all_its_disks_and_started(
    fleet: Fleet, worker: Worker, booted: Callable[[str, str], QemuHost]
) -> None:
    kvm1 = fleet.hosts["kvm1"]
    before = cloning.belongings(kvm1)
    job = succeeded(fleet.clone(fleet.guest("kvm1", NAME), "copy1", start=True))
    assert cloning.files(kvm1, "copy1")[:2] == [f"{IMAGES}/copy1-vda.qcow2", f"{IMAGES}/copy1-vdb.qcow2"]
    assert kvm1.virsh("domstate", "copy1").strip() == "running"
    booted("kvm1", "copy1")
    old, new = definition(kvm1, NAME), definition(kvm1, "copy1")
    for path in ("./uuid/text()", ".//mac/@address"):
        assert not set(values(old, path)) & set(values(new, path))
    assert same_content(kvm1, f"{IMAGES}/{NAME}-data.qcow2", f"{IMAGES}/copy1-vdb.qcow2")
    after = cloning.belongings(kvm1)
    assert after.guests[NAME] == before.guests[NAME]
    assert after.volumes - before.volumes == {"default/copy1-vda.qcow2", "default/copy1-vdb.qcow2"}
    assert job.result["name"] == "copy1"


def test_a_running_guest_goes_on_while_it_is_cloned_and_its_disks_are_the_same_files_afterwards(
    fleet: Fleet, worker: Worker
) -> None:
    kvm1 = fleet.hosts["kvm1"]
    kvm1.virsh("start", NAME)
    poll(lambda: guests.agent_answers(kvm1, NAME), 90, "the source to boot")
    before = cloning.belongings(kvm1)
    job = succeeded(fleet.clone(fleet.guest("kvm1", NAME), "copy2"))
    after = cloning.belongings(kvm1)
    assert after.guests[NAME] == before.guests[NAME]
    assert after.volumes - before.volumes == {"default/copy2-vda.qcow2", "default/copy2-vdb.qcow2"}
    assert after.volumes >= before.volumes
    assert same_content(kvm1, f"{IMAGES}/{NAME}-data.qcow2", f"{IMAGES}/copy2-vdb.qcow2")
    lines = [line.text for line in job.lines.all()]
    assert f"The guest agent of {NAME} froze its file systems for that moment" in lines
    assert f"Merging what {NAME} wrote meanwhile back into vda" in lines


def test_a_clone_goes_to_another_pool(fleet: Fleet, worker: Worker) -> None:
    succeeded(fleet.clone(fleet.guest("kvm1", NAME), "copy3", pools={"vda": "shared"}))
    kvm1 = fleet.hosts["kvm1"]
    shared = kvm1.lab.shared_images
    assert cloning.files(kvm1, "copy3")[:2] == [f"{shared}/copy3-vda.qcow2", f"{IMAGES}/copy3-vdb.qcow2"]
    assert same_content(kvm1, f"{IMAGES}/{NAME}.qcow2", f"{shared}/copy3-vda.qcow2")


def test_a_clone_goes_to_another_host(fleet: Fleet, worker: Worker, booted: Callable[[str, str], QemuHost]) -> None:
    kvm1, kvm2 = fleet.hosts["kvm1"], fleet.hosts["kvm2"]
    before = cloning.belongings(kvm1)
    succeeded(fleet.clone(fleet.guest("kvm1", NAME), "copy4", host="kvm2", pools={"vda": "shared"}, start=True))
    booted("kvm2", "copy4")
    assert cloning.files(kvm2, "copy4")[:2] == [
        f"{kvm2.lab.shared_images}/copy4-vda.qcow2",
        f"{IMAGES}/copy4-vdb.qcow2",
    ]
    here, there = (host.root / IMAGES.lstrip("/") for host in (kvm1, kvm2))
    kvm1.run(["true"])
    assert (here / f"{NAME}-data.qcow2").read_bytes() == (there / "copy4-vdb.qcow2").read_bytes()
    assert cloning.belongings(kvm1).guests == before.guests


def test_what_stands_on_another_image_reaches_another_host_whole(fleet: Fleet, worker: Worker) -> None:
    kvm3, kvm1 = fleet.hosts["kvm3"], fleet.hosts["kvm1"]
    before = cloning.belongings(kvm3)
    succeeded(fleet.clone(fleet.guest("kvm3", "legacy-erp"), "copy5", host="kvm1", pool="default"))
    assert "backing file" not in kvm1.run(["qemu-img", "info", f"{IMAGES}/copy5.qcow2"])
    assert cloning.belongings(kvm3) == before


def test_several_clones_are_parts_of_one_job(fleet: Fleet, worker: Worker) -> None:
    names = ["many-1", "many-2", "many-3"]
    job = succeeded(fleet.clone(fleet.guest("kvm1", NAME), *names))
    assert [part.state for part in job.children.all()] == ["succeeded"] * 3
    assert job.result == {"made": names}
    kvm1 = fleet.hosts["kvm1"]
    assert {*names, NAME} <= set(cloning.belongings(kvm1).guests)
    macs = [mac for name in names for mac in values(definition(kvm1, name), ".//mac/@address")]
    assert len(set(macs)) == 3


def test_a_template_is_cloned_in_a_moment_and_stays_one_while_clones_stand_on_it(
    fleet: Fleet, worker: Worker, booted: Callable[[str, str], QemuHost]
) -> None:
    domain = fleet.guest("kvm1", NAME)
    succeeded(marking.make_template(domain=domain, user=fleet.user))
    domain.refresh_from_db()
    assert domain.is_template
    job = succeeded(fleet.clone(domain, "linked1", linked=True))
    assert job.finished_at and (job.finished_at - job.created_at).total_seconds() < 2
    kvm1 = fleet.hosts["kvm1"]
    info = kvm1.run(["qemu-img", "info", f"{IMAGES}/linked1-vda.qcow2"])
    assert f"backing file: {IMAGES}/{NAME}.qcow2" in info
    kvm1.virsh("start", "linked1")
    booted("kvm1", "linked1")
    with pytest.raises(Conflict, match="Linked clones stand on its disk vda: linked1-vda"):
        marking.make_guest(domain=domain, user=fleet.user)
    kvm1.virsh("destroy", "linked1")
    kvm1.virsh("undefine", "linked1", "--remove-all-storage")
    fleet.survey()
    succeeded(marking.make_guest(domain=domain, user=fleet.user))
    assert not Domain.objects.get(pk=domain.pk).is_template


def test_the_variables_of_the_firmware_are_cloned(fleet: Fleet, worker: Worker) -> None:
    kvm1 = fleet.hosts["kvm1"]
    folder = kvm1.root / "var/lib/libvirt/qemu/nvram"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "firm_VARS.fd").write_bytes(b"secure boot" * 1000)
    root = etree.fromstring(definition(kvm1, NAME))
    root.find("name").text = "firm"  # type: ignore[union-attr]
    root.find("uuid").text = kvm1.lab.uuid("firm")  # type: ignore[union-attr]
    for disk in root.findall("./devices/disk"):
        disk.getparent().remove(disk)  # type: ignore[union-attr]
    system = root.find("os")
    assert system is not None
    etree.SubElement(system, "loader", readonly="yes", type="pflash").text = "/usr/share/OVMF/OVMF_CODE.fd"
    etree.SubElement(system, "nvram").text = "/var/lib/libvirt/qemu/nvram/firm_VARS.fd"
    draft = kvm1.directory / "firm.xml"
    draft.write_bytes(etree.tostring(root))
    kvm1.virsh("define", str(draft))
    pools = cloning.belongings(kvm1).pools
    succeeded(fleet.clone(fleet.guest("kvm1", "firm"), "firm2"))
    assert values(definition(kvm1, "firm2"), "./os/nvram/text()") == ["/var/lib/libvirt/qemu/nvram/firm2_VARS.fd"]
    assert (folder / "firm2_VARS.fd").read_bytes() == b"secure boot" * 1000
    assert cloning.belongings(kvm1).pools == pools
