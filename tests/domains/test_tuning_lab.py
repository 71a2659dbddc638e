"""Real guests are given more and less by a real worker, and say what they made of it; what a host refuses changes
nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from lxml import etree

from domains.models import Domain
from domains.tuning import services
from hosts.ksm import services as ksm
from hosts.models import Host
from tests.booting import wait_for_agent
from tests.domains.migrating import Fleet, ended
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs.models import Job
from vmdash.lab import images, xml
from vmdash.lab.catalogue import LabGuest
from vmdash.lab.commands import LabError
from vmdash.lab.layout import Lab
from vmdash.lab.qemu_host import QemuHost
from vmdash.virt.xml.tuning import Tuning

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

MIB = 1024
SPARE = "spare-vcpus"
NO_LIMITS = "0 0 0 0 0 0"


@pytest.fixture
def fleet(lab_hosts: dict[str, QemuHost], operator: User) -> Fleet:
    return Fleet(lab_hosts, operator)


@pytest.fixture
def web1(fleet: Fleet, booted: Callable[[str, str], QemuHost]) -> Iterator[Domain]:
    host = booted("kvm1", "web1")
    yield fleet.guest("web1", "kvm1")
    for how in ("--live", "--config"):
        host.virsh("setmem", "web1", "96M", how)
        host.virsh("blkdeviotune", "web1", "vda", "--total-bytes-sec", "0", "--total-iops-sec", "0", how)


@contextmanager
def with_a_vcpu_to_spare(fleet: Fleet, definition: str) -> Iterator[Domain]:
    """Such a guest on kvm2, with one vCPU of two."""
    host, root = fleet.hosts["kvm2"], etree.fromstring(definition)
    vcpu = root.find("./vcpu")
    assert vcpu is not None
    vcpu.text = "2"
    vcpu.set("current", "1")
    draft = host.directory / f"{SPARE}.xml"
    draft.write_text(etree.tostring(root, encoding="unicode"))
    host.virsh("define", str(draft))
    host.virsh("start", SPARE)
    try:
        yield fleet.guest(SPARE, "kvm2")
    finally:
        for command in ("destroy", "undefine"):
            with suppress(LabError):
                host.virsh(command, SPARE)
        draft.unlink()


@pytest.fixture
def spare(fleet: Fleet, lab: Lab) -> Iterator[Domain]:
    """There is nobody in it who would let a vCPU go."""
    with with_a_vcpu_to_spare(fleet, xml.filler(lab, SPARE)) as guest:
        yield guest


@pytest.fixture
def linux(fleet: Fleet, lab: Lab) -> Iterator[Domain]:
    host = fleet.hosts["kvm2"]
    disk = Path("/var/lib/libvirt/images") / f"{SPARE}.qcow2"
    host.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"])
    spec = LabGuest(SPARE, 99, "kvm2", "", "")
    definition = xml.guest(lab, spec, images.prepare(lab.cache), disk, bridged=False)
    with with_a_vcpu_to_spare(fleet, definition) as guest:
        wait_for_agent(host, SPARE)
        yield guest
    host.run(["rm", str(disk)])


def vcpus(fleet: Fleet) -> list[str]:
    host = fleet.hosts["kvm2"]
    return [host.virsh("vcpucount", SPARE, "--current", how).strip() for how in ("--live", "--config")]


def logged(job: Job) -> list[str]:
    job = ended(job)
    assert (job.state, job.error) == ("succeeded", ""), job.error_detail
    return [line.text for line in job.lines.all()]


def memory(host: QemuHost, *how: str) -> str:
    return etree.fromstring(host.virsh("dumpxml", "web1", *how)).findtext("./currentMemory", "")


def limits(host: QemuHost, how: str) -> str:
    told = host.virsh("blkdeviotune", "web1", "vda", how).splitlines()
    return " ".join(line.split()[-1] for line in told[:6])


def test_memory_is_taken_by_the_balloon_and_given_back(web1: Domain, fleet: Fleet, operator: User) -> None:
    host = fleet.hosts["kvm1"]
    asked = services.tune(domain=web1, wanted=Tuning(memory_kib=88 * MIB), user=operator)
    assert logged(asked)[-1] == "libvirt reports 88 MiB, as asked."
    assert (memory(host), memory(host, "--inactive")) == (str(88 * MIB), str(88 * MIB))
    assert logged(services.undo(domain=web1, user=operator))[-1] == "libvirt reports 96 MiB, as asked."
    assert (memory(host), memory(host, "--inactive")) == (str(96 * MIB), str(96 * MIB))


def test_a_disk_is_limited_and_that_is_undone(web1: Domain, fleet: Fleet, operator: User) -> None:
    host, wanted = fleet.hosts["kvm1"], {"vda": {"read_bytes_sec": 20 << 20, "total_iops_sec": 500}}
    logged(services.tune(domain=web1, wanted=Tuning(disks=wanted), user=operator))
    for how in ("--live", "--config"):
        assert limits(host, how) == f"0 {20 << 20} 0 500 0 0"
    logged(services.undo(domain=web1, user=operator))
    for how in ("--live", "--config"):
        assert limits(host, how) == NO_LIMITS


def test_a_vcpu_is_plugged_in_and_one_that_the_guest_keeps_stays(spare: Domain, fleet: Fleet, operator: User) -> None:
    lines = logged(services.tune(domain=spare, wanted=Tuning(vcpus=2), user=operator))
    assert lines == ["libvirt reports 2 vCPUs, as asked. How many of them the guest uses only its agent could tell."]
    assert vcpus(fleet) == ["2", "2"]
    job = ended(services.undo(domain=spare, user=operator))
    assert (job.state, "the guest did not let go" in job.error) == ("failed", True), (job.error, job.error_detail)
    assert vcpus(fleet) == ["2", "2"]


def test_linux_says_how_many_vcpus_it_uses_and_lets_one_go(
    linux: Domain, fleet: Fleet, lab: Lab, operator: User
) -> None:
    lines = logged(services.tune(domain=linux, wanted=Tuning(vcpus=2), user=operator))
    uses = "The guest uses 1 of them, as its agent tells: bring the others online inside it."
    assert lines == [f"libvirt reports 2 vCPUs, as asked. {uses}"]
    assert vcpus(fleet) == ["2", "2"]
    job = ended(services.undo(domain=linux, user=operator))
    if lab.kvm:
        assert (job.state, vcpus(fleet)) == ("succeeded", ["1", "1"])
    else:  # QEMU emulates it, and does not report that the vCPU is gone
        assert "Timed out" in job.error_detail
        assert (job.state, vcpus(fleet)) == ("failed", ["2", "2"])


def test_shares_where_there_are_no_cgroups_are_refused_and_nothing_changes(
    web1: Domain, fleet: Fleet, operator: User
) -> None:
    host, definition = fleet.hosts["kvm1"], fleet.hosts["kvm1"].virsh("dumpxml", "web1", "--inactive")
    job = ended(services.tune(domain=web1, wanted=Tuning(cpu_shares=512, memory_kib=88 * MIB), user=operator))
    assert job.state == "failed"
    assert "it keeps its guests in no control groups (cgroups)" in job.error
    assert host.virsh("dumpxml", "web1", "--inactive") == definition
    assert memory(host) == str(96 * MIB)


def test_what_is_refused_last_brings_back_what_was_done_first(web1: Domain, fleet: Fleet, operator: User) -> None:
    """Limits and memory are set before vCPUs, of which its definition allows one."""
    host, limited = fleet.hosts["kvm1"], {"vda": {"total_iops_sec": 500}}
    job = ended(services.tune(domain=web1, wanted=Tuning(vcpus=5, memory_kib=88 * MIB, disks=limited), user=operator))
    assert (job.state, job.error.partition(":")[0]) == ("failed", "Cannot give web1 5 vCPUs on kvm1")
    assert (limits(host, "--live"), limits(host, "--config")) == (NO_LIMITS, NO_LIMITS)
    assert memory(host, "--inactive") == str(96 * MIB)
    poll(lambda: memory(host) == str(96 * MIB), 20, "web1 to have its memory again")


def test_memory_of_a_guest_without_a_balloon_is_refused(spare: Domain, operator: User) -> None:
    job = ended(services.tune(domain=spare, wanted=Tuning(memory_kib=15 * MIB), user=operator))
    assert (job.state, "it has no balloon" in job.error) == ("failed", True)


def test_a_host_looks_for_equal_pages_less_hard(fleet: Fleet, administrator: User, worker: Worker) -> None:
    """Of files that stand for the kernel's: those are the whole machine's."""
    live, row = fleet.hosts["kvm2"], fleet.rows["kvm2"]
    folder = live.root / "run" / "ksm"
    folder.mkdir()
    told = {"pages_to_scan": 100, "sleep_millisecs": 20, "pages_shared": 7, "pages_sharing": 2560, "full_scans": 3}
    for name, value in {**told, "pages_unshared": 1, "pages_volatile": 0, "merge_across_nodes": 1}.items():
        (folder / name).write_text(f"{value}\n")
    Host.objects.filter(pk=row.pk).update(ksm={"pages_to_scan": 100})
    row.refresh_from_db()
    live.run(["mount", "--bind", "/run/ksm", "/sys/kernel/mm/ksm"])
    try:
        lines = logged(ksm.change(host=row, pages_to_scan=0, sleep_ms=1000, user=administrator))
        written = (folder / "pages_to_scan").read_text().strip()
    finally:
        live.run(["umount", "/sys/kernel/mm/ksm"])
        shutil.rmtree(folder)
    assert lines == ["It was 100 pages, then a pause of 20 ms.", "The host tells 0 pages, then a pause of 1000 ms."]
    assert written == "0"
