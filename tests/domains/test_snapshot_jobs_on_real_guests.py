"""Snapshots of a real guest: what is on its disks is what counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.utils import timezone

from domains.columns import definition_columns
from domains.models import Domain
from domains.snapshots import services
from domains.snapshots.models import ScheduledSnapshot, Snapshot, SnapshotKind
from domains.snapshots.schedules import ticking
from hosts.collector.inventory import SeenDefinition
from hosts.connect import connected
from hosts.models import Credential
from tests.factories import DomainFactory, HostFactory, ScheduleFactory
from tests.polling import poll
from tests.worker import Worker
from vmdash.access.models import User
from vmdash.jobs import recovery
from vmdash.jobs.models import Job
from vmdash.jobs.services import cancel
from vmdash.lab.commands import LabError, run
from vmdash.lab.qemu_host import QemuHost

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]

STATES = {"running": "running", "paused": "paused", "shut off": "shut_off"}
DISKS, FILES, INTERNAL = SnapshotKind.DISKS, SnapshotKind.FILES, SnapshotKind.INTERNAL
MIB = 1024 * 1024


class RealGuest:
    """backup1, which is off, with its row, which `look` brings up to date as the collector would."""

    name = "backup1"

    def __init__(self, host: QemuHost, user: User) -> None:
        self.host, self.user = host, user
        entry = dict(host.entry())
        credential = Credential.objects.create(**entry.pop("credential"))  # type: ignore[arg-type]
        row = HostFactory.create(
            credential=credential, **{key: entry[key] for key in entry if key not in ("site", "tags")}
        )
        self.row: Domain = DomainFactory.create(
            uuid=UUID(host.virsh("domuuid", self.name).strip()), host=row, name=self.name, state_since=timezone.now()
        )
        self.look()

    @property
    def folder(self) -> Path:
        return self.host.root / "var/lib/libvirt/images"

    def files(self) -> list[str]:
        """What lies in its folder."""
        return sorted(path.name for path in self.folder.iterdir() if path.name.startswith(self.name))

    def state(self) -> str:
        return self.host.virsh("domstate", self.name).strip()

    def disk(self) -> Path:
        """The topmost file of its disk."""
        return self.folder / Path(self.host.virsh("domblklist", self.name).split()[1]).name

    def look(self) -> None:
        with connected(self.row.host) as connection:
            guest = connection.guest(str(self.row.uuid))
            stored, live = guest.xml(inactive=True), guest.xml(inactive=not guest.is_active())
            columns = definition_columns(SeenDefinition.parse(stored, live))
        Domain.objects.filter(pk=self.row.pk).update(state=STATES[self.state()], **columns)
        self.row.refresh_from_db()

    def write(self, value: int, *, offset_mib: int = 1, length_mib: int = 1) -> None:
        """Onto its disk, while it is off, behind its back."""
        command = f"write -P {value} {offset_mib}M {length_mib}M"
        self.host.run(["qemu-io", "-f", "qcow2", "-c", command, f"/var/lib/libvirt/images/{self.disk().name}"])

    def reads(self, value: int, *, offset_mib: int = 1, length_mib: int = 1) -> bool:
        """Whether that is what is on its disk now."""
        command = f"read -P {value} {offset_mib}M {length_mib}M"
        path = f"/var/lib/libvirt/images/{self.disk().name}"
        try:
            said = self.host.run(["qemu-io", "-r", "-U", "-f", "qcow2", "-c", command, path])
        except LabError as error:
            said = error.detail
        assert "read " in said, said
        return "verification failed" not in said

    def off(self) -> None:
        """QEMU has written everything into the file then."""
        if self.state() != "shut off":
            self.host.virsh("destroy", self.name)

    def take(self, kind: SnapshotKind, note: str, **options: bool) -> Snapshot:
        job = self.ended(self.ask_take(kind, note, **options))
        assert (job.state, job.error) == ("succeeded", "")
        return Snapshot.objects.get(domain=self.row, name=job.parameters["name"])

    def ask_take(self, kind: SnapshotKind, note: str, **options: bool) -> Job:
        self.look()
        return services.take(domain=self.row, user=self.user, kind=kind, note=note, **options)

    def revert(self, snapshot: Snapshot, **options: bool | str) -> Job:
        self.look()
        snapshot.refresh_from_db()
        job = self.ended(
            services.revert(domain=self.row, snapshot=snapshot, user=self.user, confirm=self.name, **options)  # type: ignore[arg-type]
        )
        assert (job.state, job.error) == ("succeeded", "")
        return job

    def ask_delete(self, snapshot: Snapshot, **options: int) -> Job:
        self.look()
        snapshot.refresh_from_db()
        return services.delete(domain=self.row, snapshot=snapshot, user=self.user, **options)  # type: ignore[arg-type]

    def delete(self, snapshot: Snapshot) -> Job:
        job = self.ended(self.ask_delete(snapshot))
        assert (job.state, job.error) == ("succeeded", "")
        return job

    def ended(self, job: Job) -> Job:
        poll(lambda: Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists(), 90, f"{job.label} to end")
        job.refresh_from_db()
        self.look()
        return job

    def names(self) -> list[str]:
        """The snapshots that libvirt knows."""
        return self.host.virsh("snapshot-list", self.name, "--name", "--topological").split()


@pytest.fixture
def backup1(lab_hosts: dict[str, QemuHost], operator: User, tmp_path: Path) -> Iterator[RealGuest]:
    host = lab_hosts["kvm2"]
    definition = host.virsh("dumpxml", "--inactive", "backup1")
    disk = host.root / "var/lib/libvirt/images/backup1.qcow2"
    shutil.copy(disk, tmp_path / "disk")
    guest = RealGuest(host, operator)
    yield guest
    if guest.state() != "shut off":
        host.virsh("destroy", "backup1")
    for name in guest.names():
        host.virsh("snapshot-delete", "backup1", name, "--metadata")
    (host.directory / "before.xml").write_text(definition)
    host.virsh("define", str(host.directory / "before.xml"))
    for name in guest.files():
        (guest.folder / name).unlink()
    shutil.copy(tmp_path / "disk", disk)


def is_finished(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk).exclude(finished_at=None).exists()


def lines(job: Job) -> str:
    return "\n".join(job.lines.values_list("text", flat=True))


def test_disks_of_a_guest_that_is_off_go_back_and_forth(backup1: RealGuest, worker: Worker) -> None:
    backup1.write(1)
    first = backup1.take(DISKS, "one")
    assert first.name.startswith("backup1-2") and first.name.endswith("-one")
    assert (first.external, first.internal, first.memory, first.current) == (True, False, False, True)
    assert first.guest_state == "shutoff"
    backup1.write(2)
    second = backup1.take(DISKS, "two")
    backup1.write(3)
    assert second.parent_name == first.name
    assert second.size_bytes is not None

    backup1.revert(first)
    assert backup1.reads(1)
    assert backup1.state() == "shut off"
    backup1.write(4)
    backup1.revert(second)
    assert backup1.reads(2)
    backup1.revert(first, first=True)
    assert backup1.reads(1)
    kept = Snapshot.objects.get(domain=backup1.row, name__endswith="-before-revert")
    backup1.revert(kept)
    assert backup1.reads(2)

    for snapshot in (kept, second, first):
        backup1.delete(snapshot)
        assert backup1.reads(2)
    assert backup1.names() == []
    assert len(backup1.files()) == 1
    assert not Snapshot.objects.filter(domain=backup1.row).exists()


def test_a_running_guest_is_merged_in_any_order(backup1: RealGuest, worker: Worker) -> None:
    backup1.write(1)
    first = backup1.take(DISKS, "one")
    backup1.write(2, offset_mib=2)
    second = backup1.take(DISKS, "two")
    backup1.write(3, offset_mib=3, length_mib=20)
    backup1.host.virsh("start", "backup1", "--paused")
    job = backup1.delete(first)
    assert job.done_bytes == job.total_bytes  # both are 0 when it ends before it is first asked how far it is
    assert "Merging what was written since" in lines(job)
    assert backup1.state() == "paused"
    backup1.off()
    assert [backup1.reads(1), backup1.reads(2, offset_mib=2), backup1.reads(3, offset_mib=3)] == [True] * 3
    backup1.revert(second, afterwards=services.OFF)
    assert backup1.state() == "shut off"
    assert [backup1.reads(2, offset_mib=2), backup1.reads(3, offset_mib=3)] == [True, False]
    backup1.host.virsh("start", "backup1", "--paused")
    backup1.delete(second)
    assert backup1.files() == ["backup1.qcow2"]
    assert backup1.names() == []


@pytest.mark.parametrize("kind", [FILES, INTERNAL])
def test_the_whole_machine_goes_back(backup1: RealGuest, worker: Worker, kind: SnapshotKind) -> None:
    backup1.host.virsh("start", "backup1")
    snapshot = backup1.take(kind, "all of it")
    assert snapshot.memory
    assert snapshot.guest_state == "running"
    backup1.host.virsh("destroy", "backup1")
    backup1.revert(snapshot)
    assert backup1.state() == "running"
    assert "restored" in backup1.host.virsh("domstate", "backup1", "--reason") or kind == INTERNAL
    backup1.revert(snapshot, afterwards=services.PAUSED)
    assert backup1.state() == "paused"
    backup1.delete(snapshot)
    assert backup1.files() == [backup1.disk().name]
    assert backup1.names() == []


def test_the_agent_freezes_the_file_systems_where_it_answers(
    backup1: RealGuest, booted: Callable[[str, str], QemuHost], worker: Worker
) -> None:
    backup1.host.virsh("start", "backup1", "--paused")
    without = backup1.take(DISKS, "no agent")
    assert (without.quiesced, without.not_quiesced_because) == (False, "The guest agent does not run in the guest.")
    backup1.host.virsh("resume", "backup1")
    booted("kvm2", "backup1")
    with_agent = backup1.take(DISKS, "agent")
    assert (with_agent.quiesced, with_agent.not_quiesced_because) == (True, "")
    unwanted = backup1.take(DISKS, "unwanted", quiesce=False)
    assert unwanted.quiesced is False


def test_a_merge_is_cancelled(backup1: RealGuest, worker: Worker) -> None:
    snapshot = backup1.take(DISKS, "one")
    backup1.write(3, length_mib=30)
    backup1.host.virsh("start", "backup1", "--paused")
    job = backup1.ask_delete(snapshot, most_bytes_per_s=4 * MIB)
    poll(lambda: Job.objects.get(pk=job.pk).done_bytes, 20, "the merge to begin")
    cancel(job=job, user=backup1.user)
    assert backup1.ended(job).state == "cancelled"
    assert backup1.reads(3, length_mib=30)
    assert backup1.names() == [snapshot.name]
    snapshot.refresh_from_db()
    assert snapshot.half_merged
    backup1.delete(snapshot)
    backup1.off()
    assert backup1.reads(3, length_mib=30)
    assert backup1.files() == ["backup1.qcow2"]


@pytest.mark.parametrize("wanted", [True, False], ids=["finished", "cancelled"])
def test_a_merge_outlives_its_worker(backup1: RealGuest, new_worker: Callable[[], Worker], wanted: bool) -> None:
    first = new_worker()
    snapshot = backup1.take(DISKS, "one")
    backup1.write(3, length_mib=30)
    backup1.host.virsh("start", "backup1", "--paused")
    job = backup1.ask_delete(snapshot, most_bytes_per_s=8 * MIB)
    poll(lambda: Job.objects.get(pk=job.pk).done_bytes, 20, "the merge to begin")
    first.kill()
    if not wanted:
        cancel(job=job, user=backup1.user)
    assert backup1.state() == "paused"

    new_worker()
    poll(lambda: is_finished(job) or recovery.recover(), 60, "recovery to end it")  # type: ignore[func-returns-value]
    backup1.ended(job)
    backup1.off()
    assert backup1.reads(3, length_mib=30)
    assert (job.state, job.error) == ("succeeded" if wanted else "cancelled", "")
    assert backup1.names() == ([] if wanted else [snapshot.name])
    assert len(backup1.files()) == (1 if wanted else 2)


def test_disks_are_flattened_while_the_guest_runs(backup1: RealGuest, worker: Worker) -> None:
    backup1.write(1)
    snapshot = backup1.take(DISKS, "one")
    backup1.write(2, offset_mib=2)
    backup1.host.virsh("start", "backup1", "--paused")
    backup1.look()
    job = backup1.ended(services.flatten(domain=backup1.row, user=backup1.user))
    assert (job.state, job.error) == ("succeeded", "")
    backup1.off()
    information = run(["qemu-img", "info", "-U", backup1.disk()])
    assert "backing file" not in information
    assert [backup1.reads(1), backup1.reads(2, offset_mib=2)] == [True, True]
    assert backup1.names() == [snapshot.name]


def test_a_disk_that_others_stand_on_is_not_merged_into(backup1: RealGuest, worker: Worker) -> None:
    snapshot = backup1.take(DISKS, "one")
    images = "/var/lib/libvirt/images"
    backup1.host.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", f"{images}/backup1.qcow2",
         f"{images}/backup1-clone.qcow2"]
    )  # fmt: skip
    for start in (False, True):
        if start:
            backup1.host.virsh("start", "backup1", "--paused")
        job = backup1.ended(backup1.ask_delete(snapshot))
        assert job.state == "failed"
        assert f"{images}/backup1.qcow2 is also below {images}/backup1-clone.qcow2" in job.error
        assert backup1.names() == [snapshot.name]


def test_a_schedule_takes_them_and_lets_old_ones_go(backup1: RealGuest, worker: Worker) -> None:
    now = timezone.now().replace(second=0, microsecond=0)
    at = timezone.localtime(now).time()
    schedule = ScheduleFactory.create(
        name="nightly", domain=backup1.row, at=at, keep_last=1, handled_until=now - timedelta(minutes=1)
    )
    for day in range(2):
        backup1.write(day + 1)
        ticking.tick(now + timedelta(days=day))
        run = ScheduledSnapshot.objects.get(schedule=schedule, due_at=now + timedelta(days=day))
        assert run.problem == "" and run.job
        assert backup1.ended(run.job).state == "succeeded"
        assert run.snapshot_name in backup1.names()
    assert len(backup1.names()) == 2
    ticking.tick(now + timedelta(days=1, minutes=1))
    pruned = ScheduledSnapshot.objects.exclude(pruning_job=None).get()
    assert pruned.due_at == now and pruned.pruning_job
    job = backup1.ended(pruned.pruning_job)
    assert (job.state, job.error) == ("succeeded", "")
    assert backup1.names() == [run.snapshot_name]
    assert backup1.reads(2)
    assert backup1.state() == "shut off"
    assert len(backup1.files()) == 2
    backup1.revert(Snapshot.objects.get(name=run.snapshot_name))
    assert backup1.reads(2)
